//! What a failure is called, what to do about it, and the exit code.

use std::io;

use reelhouse_client::{Error, ErrorCode};

use super::text;

pub(crate) const FAILED: u8 = 1;
const NO_SUCH_ASSET: u8 = 3;
const NOT_PERMITTED: u8 = 4;
const UNREACHABLE: u8 = 5;
pub(crate) const INTERRUPTED: u8 = 130;

/// Nobody said which key.
#[derive(Debug, thiserror::Error)]
#[error("there is no API key")]
pub(crate) struct NoKey;

const GIVE_A_KEY: &str = "Give one with --api-key or TWELVE_LABS_API_KEY. Beside the server's data, `reelhouse keys create \
                          --account NAME` makes one.";

/// Ends the command: says why, and gives the exit code.
pub(crate) fn ended(error: anyhow::Error) -> anyhow::Result<std::process::ExitCode> {
    // Who reads our output has had enough: `reelhouse list | head`.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return Ok(std::process::ExitCode::SUCCESS);
    }
    if error.is::<NoKey>() {
        complain(&format!("{error}\n  {GIVE_A_KEY}"));
        return Ok(NOT_PERMITTED.into());
    }
    let Some(error) = error.downcast_ref::<Error>() else { return Err(error) };
    complain(&told(error));
    Ok(exit_code(error).into())
}

/// Says it on standard error.
pub(crate) fn complain(text: &str) {
    let text = text::wrapped(&format!("reelhouse: {text}"), text::terminal_width(io::stderr()));
    eprintln!("{text}");
}

/// The error, and below it what to do.
pub(crate) fn told(error: &Error) -> String {
    let request = error.api().and_then(|api| api.request_id.as_ref()).filter(|_| error.status() >= Some(500));
    let request = request.map(|id| format!(" (request {id})")).unwrap_or_default();
    match advice(error) {
        Some(advice) => format!("{error}{request}\n  {advice}"),
        None => format!("{error}{request}"),
    }
}

/// What to do, where the server's own sentence does not say it.
fn advice(error: &Error) -> Option<&'static str> {
    let unreachable = "Does the server run? `reelhouse serve` starts one. --base-url or TWELVELABS_BASE_URL says where it is.";
    Some(match error {
        Error::Connect { .. } => unreachable,
        Error::Timeout { .. } | Error::Transport { .. } => {
            "Give the same command again; an upload goes on where it was."
        }
        Error::Decode { .. } => "Is this the right server? The base URL ends in its version, /v1.3.",
        Error::ContentChanged(_) => "Give the same command again.",
        Error::Api(api) => match (&api.code, api.status) {
            (ErrorCode::ApiKeyInvalid | ErrorCode::Unauthorized, _) => GIVE_A_KEY,
            (ErrorCode::ApiNotAllowed, _) => {
                "This key may only read. `reelhouse keys list` shows what keys may do."
            }
            (ErrorCode::AssetInUse, _) => "--force deletes it all the same.",
            (ErrorCode::ResourceNotExist, _) => "`reelhouse list` shows which there are.",
            (ErrorCode::EndpointNotExist, _) => {
                "Is this the right server? The base URL ends in its version, /v1.3."
            }
            (ErrorCode::Unknown(code), _) if code.is_empty() => {
                "Is this the right server? The base URL ends in its version, /v1.3."
            }
            (_, 500..) => "Give the same command again in a while. The server's log says more.",
            _ => return None,
        },
        _ => return None,
    })
}

pub(crate) fn exit_code(error: &Error) -> u8 {
    match error {
        Error::Connect { .. } | Error::Timeout { .. } | Error::Transport { .. } | Error::NotReady { .. } => {
            UNREACHABLE
        }
        Error::Api(api) => match api.status {
            401 | 403 => NOT_PERMITTED,
            404 if api.code == ErrorCode::ResourceNotExist => NO_SUCH_ASSET,
            408 | 429 | 503 => UNREACHABLE,
            _ => FAILED,
        },
        _ => FAILED,
    }
}
