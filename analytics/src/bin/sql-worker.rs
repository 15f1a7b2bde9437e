//! One query in a process of its own, for this crate's tests. The hub's binary has the same as `saler sql-worker`.

fn main() -> std::process::ExitCode {
    analytics::sql::worker::main()
}
