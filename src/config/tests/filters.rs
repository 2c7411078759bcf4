//! `filters`: the forms that are taken, and what is refused.

use serde_json::json;

use super::*;

#[test]
fn filters_are_read_in_each_form_and_normalised() {
    let read_filters = |text: &str| read(&with_job(&format!("filters = {text}"), "")).unwrap().jobs[0].filters.clone();
    assert_eq!(read_filters("[]"), Vec::<serde_json::Value>::new());
    assert_eq!(
        read_filters(r#"[["a", "=", 1], ["Item", "b", "NOT IN", ["x", 2]]]"#),
        [json!(["a", "=", 1]), json!(["b", "not in", ["x", 2]])]
    );
    assert_eq!(
        read_filters(r#"{ a = true, b = ["between", [1, 2.5]] }"#),
        [json!(["a", "=", 1]), json!(["b", "between", [1, 2.5]])]
    );
    for filter in [
        r#"["a", "!=", "x"]"#,
        r#"["a", "like", "x%"]"#,
        r#"["a", "is", "not set"]"#,
        r#"["a", "descendants of", "All"]"#,
        r#"["a", ">=", "2024-01-01"]"#,
    ] {
        assert_eq!(read_filters(&format!("[{filter}]")), [serde_json::from_str::<serde_json::Value>(filter).unwrap()]);
    }
}

#[test]
fn a_filter_that_hq_would_misread_is_refused() {
    for (filters, token, message) in [
        (
            r#"["modified", ">", "2024-01-01"]"#,
            "[\"modified",
            "each filter is a list of its own: write filters = [[\"field\", \"=\", value], …], with two brackets",
        ),
        (r#""disabled = 0""#, "\"disabled", "expected a list of filters: [[\"field\", \"=\", value], …]"),
        (r#"[["a", 1]]"#, "[\"a\"", "expected [field, operator, value] or [DocType, field, operator, value]"),
        (r#"[["a", "not_in", [1]]]"#, "\"not_in", "unknown operator \"not_in\", did you mean \"not in\"?"),
        (r#"[["a", "==", 1]]"#, "\"==", "unknown operator \"==\", did you mean \"=\"?"),
        (
            r#"[["a", "timespan", "last week"]]"#,
            "\"timespan",
            "\"timespan\" moves with the clock: records would leave it without a change at HQ; filter by a fixed value",
        ),
        (r#"[["a", "in", "x,y"]]"#, "\"x,y", "the operator \"in\" wants a list of values"),
        (r#"[["a", "in", []]]"#, "[]", "the operator \"in\" wants a list of values"),
        (r#"[["a", "between", [1]]]"#, "[1]", "the operator \"between\" wants a list of two values"),
        (r#"[["a", "is", 1]]"#, "1]]", "the operator \"is\" wants \"set\" or \"not set\""),
        (r#"[["a", "like", 1]]"#, "1]]", "the operator \"like\" wants a string with % for any text"),
        (r#"[["a", ">", [1]]]"#, "[1]", "the operator \">\" wants a string, a number, true or false"),
        (
            r#"[["a b", "=", 1]]"#,
            "\"a b",
            "\"a b\" is not an HQ field's name such as \"item_name\": letters, digits and \"_\"",
        ),
        (
            r#"[["Item Barcode", "x", "=", 1]]"#,
            "\"Item Bar",
            "a filter on another DocType than the job's (\"Item\") is not supported yet, found \"Item Barcode\"",
        ),
        (r#"{ a = ["in", [1], 2] }"#, "[\"in\"", "expected a value or [operator, value]"),
    ] {
        assert_wrong(&with_job(&format!("filters = {filters}"), ""), token, message);
    }
}
