//! The binary `saler`: see [`gateway::cli`].

/// Messages are made by one thread and freed by another all day long, which glibc's allocator does badly: with it, a third of
/// a webhook's processor time went into allocation and its locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    gateway::cli::main()
}
