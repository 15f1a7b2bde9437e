//! Bodies of HTTP requests and answers under `/api/v1`.
