//! The recordings that are not replayed, each with its reason.

use std::collections::BTreeMap;

/// Number of a recording to the reason it is left out.
pub(super) fn reasons() -> BTreeMap<&'static str, &'static str> {
    LEFT_OUT
        .iter()
        .flat_map(|(numbers, reason)| numbers.split_whitespace().map(|number| (number, *reason)))
        .collect()
}

const LEFT_OUT: [(&str, &str); 21] = [
    ("120", "timings, not an answer"),
    ("402 403", "System Settings: milkrun asks frappe.client.get_time_zone, which anybody may"),
    (
        "504 505 506 507 508 515",
        "joins with a child table: the page limit cuts parents, so milkrun reads children apart",
    ),
    (
        "711 712 713",
        "a child row deleted by its own URL: to a puller it is a silent change, which update_silently makes",
    ),
    ("720 726", "renaming over REST: tests rename and merge through the handle, the traces are replayed (721-729)"),
    ("730 731", "Version: milkrun does not read change logs, which only a System Manager may"),
    ("826", "a function that exists and is not exposed: milkrun calls none"),
    ("851 852 853 854", "values HQ refuses on write: milkrun does not write to HQ"),
    ("855 856 857", "API v2 errors of documents: milkrun uses v2 for metadata only"),
    (
        "901 902 903 904 905 906 907 908 909 958 1113 1114 1115 994 995",
        "submitting and cancelling: docstatus is a number to a puller",
    ),
    ("915 916 940 941 941b 942 942b 943 943b 946 947", "writes milkrun does not make"),
    ("950 951 952 953 954 955 956 957 959", "bulk and RPC writes milkrun does not make"),
    ("960 961", "names with slashes: covered by unit tests of the router's decoding"),
    ("970 971 972 973 974 975 979 980 981 991 992 993", "API v2 lists and documents: milkrun uses v1"),
    ("982 983 988 989", "DocTypes as whole records: need System Manager, milkrun reads v2 meta"),
    ("996 997 998 999", "custom fields and pushing: milkrun does not write to HQ"),
    (
        "1101 1102 1103 1104 1105 1106 1107 1108 1109 1120",
        "conversions of all field types on write: milkrun does not write to HQ",
    ),
    ("1111 1112", "Single DocTypes are never listed"),
    (
        "1201 1210 1211 1212 1213 1214 1215 1216 1217 1218 1220 1221 1222 1223 1230",
        "webhooks: HQ sends them, milkrun's own tests make them",
    ),
    (
        "1301 1302 1303 1304 1305 1306 1306b 1310 1311 1312 1313 1314 1315 1315b 1316 1317 1318 1319 1320 1321 1322 1323 1324 \
         1325 1326 1327 1328 1329 1330 1331 1332 1401 1402 1403 1404 1405 1406 1407 1407b 1408 1409 1410 1411 1412 1412b 1413 \
         1414 1415 1416",
        "sessions, OAuth and files: milkrun logs in by token and reads no files",
    ),
    (
        "1504 1511 1512 1513 1514 1515 1516 1517 1518 1605 1605b 1614 1619",
        "nginx's own answers, compressed requests, and calls milkrun does not make",
    ),
];
