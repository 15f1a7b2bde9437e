//! Frames of the sockets `/api/v1/socket` and `/api/v1/visitor`: protocol `saler.v1`.
