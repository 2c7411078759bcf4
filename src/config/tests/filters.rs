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
            "each filter is a list of its own; write filters = [[\"modified\", \">\", \"2024-01-01\"]], with two brackets",
        ),
        (
            r#""disabled = 0""#,
            "\"disabled",
            "this is no list of filters; write filters = [[\"field\", \"=\", value], …]",
        ),
        (r#"[["a", 1]]"#, "[\"a\"", "a filter has three parts, found a list of 2 values; write [\"a\", \"=\", 1]"),
        (r#"[["a", "not_in", [1]]]"#, "\"not_in", "unknown operator \"not_in\", did you mean \"not in\"?"),
        (r#"[["a", "==", 1]]"#, "\"==", "unknown operator \"==\", did you mean \"=\"?"),
        (
            r#"[["a", "timespan", "last week"]]"#,
            "\"timespan",
            "\"timespan\" moves with the clock: records would leave it without a change at HQ; filter by a fixed value",
        ),
        (
            r#"[["a", "in", "x,y"]]"#,
            "\"x,y",
            "the operator \"in\" wants a list of values, found a string; write it as [\"field\", \"in\", [\"one\", \"other\"]]",
        ),
        (
            r#"[["a", "in", []]]"#,
            "[]",
            "the operator \"in\" wants a list of values, found an empty list; write it as [\"field\", \"in\", [\"one\", \"other\"]]",
        ),
        (
            r#"[["a", "between", [1]]]"#,
            "[1]",
            "the operator \"between\" wants a list of two values, found a list of one value; write it as [\"field\", \"between\", [1, 5]]",
        ),
        (
            r#"[["a", "is", 1]]"#,
            "1]]",
            "the operator \"is\" wants \"set\" or \"not set\", found 1; write it as [\"field\", \"is\", \"set\"]",
        ),
        (
            r#"[["a", "like", 1]]"#,
            "1]]",
            "the operator \"like\" wants a string with % for any text, found 1; write it as [\"field\", \"like\", \"ICE-%\"]",
        ),
        (
            r#"[["a", ">", [1]]]"#,
            "[1]",
            "the operator \">\" wants a string, a number, true or false, found a list of one value; write it as [\"field\", \"=\", \"one\"]",
        ),
        (r#"[["a b", "=", 1]]"#, "\"a b", "\"a b\" is not an HQ field's name, did you mean \"a_b\"?"),
        (
            r#"[["Item Barcode", "x", "=", 1]]"#,
            "\"Item Bar",
            "a filter on another DocType than the job's (\"Item\") is not supported yet, found \"Item Barcode\"; write [\"field\", \"operator\", value]",
        ),
        (
            r#"{ a = ["in", [1], 2] }"#,
            "[\"in\"",
            "found a list of 3 values for a filter's value; write field = value, or field = [\"operator\", value]",
        ),
    ] {
        assert_wrong(&with_job(&format!("filters = {filters}"), ""), token, message);
    }
}
