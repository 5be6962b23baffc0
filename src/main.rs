//! The `rdsup` command: everything is in the library.

fn main() -> std::process::ExitCode {
    rdsup::cli::main()
}
