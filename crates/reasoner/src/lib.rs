//! Policy and content in, a reasoned verdict out: through the local engine or a remote server.
