//! Manners of derived work.

/// Lets other threads of this core run first, if any want to; costs less than a microsecond otherwise.
///
/// What is derived from the log can wait, while a provider that waits for the log gives up. So whatever derives calls this
/// between one piece (a command, an event, some rows) and the next. Its threads have a low priority as well, but that
/// alone is slow: the system lets a thread that runs go on for milliseconds before one of a higher priority gets its turn.
pub fn give_way() {
    std::thread::yield_now();
}
