//! Kernels that lack a layer of the jail, as far as a thread and its children can see.

use std::thread;

use reelhouse_media::{Config, Error, Jail, Media, Sniffed};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch, apply_filter};

use crate::clips::of_bytes;

const LANDLOCK: [libc::c_long; 1] = [libc::SYS_landlock_create_ruleset];
const SECCOMP: [libc::c_long; 1] = [libc::SYS_seccomp];

/// Runs on a thread whose kernel knows none of these calls.
fn without<T: Send + 'static>(calls: &[libc::c_long], run: impl AsyncFnOnce() -> T + Send + 'static) -> T {
    let rules = calls.iter().map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    let machine = TargetArch::try_from(std::env::consts::ARCH).unwrap();
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, unknown, machine).unwrap();
    let filter = BpfProgram::try_from(filter).unwrap();
    let on_it = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        apply_filter(&filter).unwrap();
        runtime.block_on(run())
    });
    on_it.join().unwrap()
}

async fn start(jail: Jail) -> Result<Media, Error> {
    Media::start(Config { jail, ..Config::default() }).await
}

#[test]
fn what_is_required_and_missing_is_told_and_what_is_preferred_is_done_without() {
    for (calls, told) in
        [(LANDLOCK, "no landlock, seccomp, limits"), (SECCOMP, "landlock, no seccomp, limits")]
    {
        without(&calls, async move || {
            let refused = start(Jail::Require).await.unwrap_err().to_string();
            assert!(refused.contains(told) && refused.contains("REELHOUSE_JAIL=prefer"), "{refused}");

            let media = start(Jail::Prefer).await.unwrap();
            assert!(!media.jail().holds() && media.jail().to_string().starts_with(told), "{}", media.jail());
            // It works as before.
            let folder = tempfile::TempDir::new().unwrap();
            let garbage = of_bytes(folder.path(), "garbage.mp4", &[0, 0, 0, 24, b'f', b't', b'y', b'p']);
            let sniffed = Sniffed::Media { kind: reelhouse_api::MediaKind::Video, mime: "video/mp4" };
            assert!(matches!(media.examine(&garbage, sniffed).await, Err(Error::Broken { .. })));
        });
    }
}
