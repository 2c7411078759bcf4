//! A sample HQ over HTTP: a Frappe look-alike for the demo, the tests and the benches.
