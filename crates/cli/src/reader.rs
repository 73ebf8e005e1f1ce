//! The media process: see `reelhouse_reader`.

use std::process::ExitCode;

fn main() -> ExitCode {
    reelhouse_reader::main()
}
