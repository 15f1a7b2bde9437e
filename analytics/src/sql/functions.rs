//! The functions that a query may call. What is not here is refused: above all what makes long text or long lists out of
//! little (`repeat`, `lpad`, `rpad`, `replace`, `range`, `generate_series`, `array_repeat`, `array_resize`), which takes
//! gigabytes outside DataFusion's own accounting, and what costs more than linear time (`levenshtein`).

/// Functions that match regular expressions: their pattern must be a short literal.
pub const REGEX: &[&str] = &["regexp_like", "regexp_match", "regexp_count"];

/// Aggregates, which may also be used over windows.
const AGGREGATE: &[&str] = &[
    "count",
    "sum",
    "avg",
    "mean",
    "min",
    "max",
    "median",
    "approx_distinct",
    "approx_median",
    "approx_percentile_cont",
    "percentile_cont",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "var",
    "var_pop",
    "var_samp",
    "corr",
    "covar_pop",
    "covar_samp",
    "bool_and",
    "bool_or",
    "first_value",
    "last_value",
    "nth_value",
    "array_agg",
    "string_agg",
    "grouping",
    "hist_merge",
];

const WINDOW: &[&str] = &["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

const NUMBER: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "round",
    "trunc",
    "sqrt",
    "cbrt",
    "exp",
    "ln",
    "log",
    "log2",
    "log10",
    "power",
    "pow",
    "signum",
    "isnan",
    "nanvl",
    "greatest",
    "least",
    "hist_quantile",
];

const TEXT: &[&str] = &[
    "lower",
    "upper",
    "length",
    "char_length",
    "character_length",
    "octet_length",
    "bit_length",
    "trim",
    "btrim",
    "ltrim",
    "rtrim",
    "left",
    "right",
    "substr",
    "substring",
    "strpos",
    "position",
    "instr",
    "starts_with",
    "ends_with",
    "contains",
    "split_part",
    "concat",
    "concat_ws",
    "initcap",
    "ascii",
];

const TIME: &[&str] = &[
    "now",
    "current_timestamp",
    "current_date",
    "current_time",
    "today",
    "date_trunc",
    "datetrunc",
    "date_part",
    "datepart",
    "date_bin",
    "date_format",
    "to_char",
    "to_date",
    "to_timestamp",
    "to_timestamp_seconds",
    "to_timestamp_millis",
    "to_timestamp_micros",
    "to_unixtime",
    "from_unixtime",
    "make_date",
    "local_bucket",
];

const CHOICE: &[&str] = &["coalesce", "nullif", "nvl", "nvl2", "ifnull"];

const LIST: &[&str] = &[
    "array_has",
    "array_has_any",
    "array_has_all",
    "array_contains",
    "list_contains",
    "list_has",
    "array_length",
    "list_length",
    "cardinality",
    "array_to_string",
    "unnest",
];

/// What syntax becomes in a plan though nobody wrote its name: `[…]`, `a[1]`, `a.b`.
const SYNTAX: &[&str] = &["make_array", "array_element", "get_field"];

const GROUPS: [&[&str]; 8] = [AGGREGATE, WINDOW, NUMBER, TEXT, TIME, CHOICE, LIST, REGEX];

/// Whether a query may call the function with this name, in lower case.
pub fn is_allowed(name: &str) -> bool {
    GROUPS.iter().any(|group| group.contains(&name))
}

/// Whether a query's process needs the function with this name.
pub fn is_needed(name: &str) -> bool {
    is_allowed(name) || SYNTAX.contains(&name)
}

/// All that may be called, sorted.
pub fn all() -> Vec<&'static str> {
    let mut all: Vec<_> = GROUPS.concat();
    all.sort_unstable();
    all
}
