//! Files of the user's, read beside everything else.
//!
//! Whoever opens a file on a file system whose server is away waits for it, maybe for ever, and so does the thread. So no
//! file of the user's is read by the event loop or by a worker of the runtime: threads that may wait do, few at a time, and
//! whoever wants to know is told when it takes too long.

use std::io;
use std::panic;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::kept::prepare_generation;
use super::prepare::{PrepareError, Prepared, Reading, prepare_from};
use super::sources::{Sources, read_regular};
use crate::history::Generation;
use crate::sys::digest;

/// How long a file is waited for when somebody only wants to know whether it differs from what runs.
const COMPARED_WITHIN: Duration = Duration::from_secs(1);

/// A few threads that read.
#[derive(Clone, Debug)]
pub struct Aside(Arc<Threads>);

#[derive(Debug)]
struct Threads {
    free: Arc<Semaphore>,
    most: usize,
    /// How many read for longer than they were waited for.
    overdue: AtomicUsize,
    within: Duration,
}

impl Aside {
    /// So many threads at one time, each of which is waited for as long as `within`.
    pub fn new(most: usize, within: Duration) -> Self {
        let free = Arc::new(Semaphore::new(most));
        Self(Arc::new(Threads { free, most, overdue: AtomicUsize::new(0), within }))
    }

    /// Does what reads `file` and what that names.
    pub async fn read<T: Send + 'static>(
        &self,
        file: &Path,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PrepareError> {
        let threads = &self.0;
        let late = |words: String| {
            let source = io::Error::new(io::ErrorKind::TimedOut, words);
            PrepareError::Unreadable { path: file.to_owned(), source }
        };
        let waits = "what was to be read before it does not come; is a file server away?";
        if threads.overdue.load(Ordering::SeqCst) >= threads.most {
            return Err(late(waits.to_owned()));
        }
        let Ok(Ok(thread)) = timeout(threads.within, threads.free.clone().acquire_owned()).await else {
            return Err(late(waits.to_owned()));
        };
        let mut reading = spawn_blocking(move || {
            let _thread = thread;
            work()
        });
        match timeout(threads.within, &mut reading).await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(failed)) => panic::resume_unwind(failed.into_panic()),
            Err(_) => {
                threads.overdue.fetch_add(1, Ordering::SeqCst);
                let threads = threads.clone();
                let words = format!("it, or a file that it names, does not come for {:?}", threads.within);
                tokio::spawn(async move {
                    let _ = reading.await;
                    threads.overdue.fetch_sub(1, Ordering::SeqCst);
                });
                Err(late(words))
            }
        }
    }
}

impl Aside {
    /// Reads a file that is to run. `named` and `state_dir` are those of [`Reading`].
    pub async fn prepare(&self, file: &Path, named: &Path, state_dir: Option<&Path>) -> Result<Prepared, PrepareError> {
        let (path, named, state_dir) = (file.to_owned(), named.to_owned(), state_dir.map(Path::to_owned));
        let prepare = move || {
            let (sources, state_dir) = (Sources::regular_files(), state_dir.as_deref());
            prepare_from(Reading { named: &named, sources, state_dir, ..Reading::of(&path) })
        };
        self.read(file, prepare).await?
    }

    /// Reads a generation again. Its texts are at hand, but the passwords are in files.
    pub async fn prepare_again(
        &self,
        generation: &Generation,
        named: &Path,
        state_dir: Option<&Path>,
    ) -> Result<Prepared, PrepareError> {
        let (kept, named, state_dir) = (generation.clone(), named.to_owned(), state_dir.map(Path::to_owned));
        let prepare = move || prepare_generation(&kept, &named, state_dir.as_deref());
        self.read(&generation.file, prepare).await?
    }
}

/// The supervisor's configuration file as it lies there, whoever asks.
#[derive(Clone, Debug)]
pub struct OnDisk {
    aside: Aside,
    /// A digest of it when it last could be read.
    last: Arc<Mutex<Option<u64>>>,
}

impl OnDisk {
    /// It was not looked at yet.
    pub fn new() -> Self {
        Self { aside: Aside::new(1, COMPARED_WITHIN), last: Arc::default() }
    }

    /// Whether it is another text than the one with this digest. A file that cannot be read is: it is not what runs. One that
    /// does not come is what it was the last time.
    pub async fn differs_from(&self, text: u64, file: &Path) -> bool {
        let path = file.to_owned();
        let read = self.aside.read(file, move || read_regular(&path).ok().map(|text| digest(&text))).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(now) = read {
            *last = now;
        }
        *last != Some(text)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::sys::files;

    #[tokio::test]
    async fn a_file_that_does_not_come_costs_one_thread_and_no_more_patience_than_once() {
        let aside = Aside::new(1, Duration::from_millis(200));
        let file = Path::new("/srv/far/rdsup.toml");
        let (come, comes) = mpsc::channel::<()>();
        let error = aside.read(file, move || comes.recv()).await.expect_err("it does not come");
        let words = "cannot read /srv/far/rdsup.toml: it, or a file that it names, does not come for 200ms";
        assert_eq!(error.to_string(), words);
        let began = std::time::Instant::now();
        for _ in 0..100 {
            let error = aside.read(file, || ()).await.expect_err("the one before has not come");
            assert!(error.to_string().contains("is a file server away?"), "{error}");
        }
        assert!(began.elapsed() < Duration::from_millis(200), "nobody waits again");
        come.send(()).expect("it is waited for");
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        while aside.read(file, || ()).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "it came and is not read again");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    #[tokio::test]
    async fn what_is_no_file_differs_and_what_lies_there_is_compared_as_it_is_now() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("rdsup.toml");
        let on_disk = OnDisk::new();
        let mine = digest("mine");
        assert!(on_disk.differs_from(mine, &file).await, "there is none");
        for (text, differs) in [("mine", false), ("other", true), ("mine", false)] {
            files::write(&file, text.as_bytes(), 0o600, None).expect("the directory is ours");
            assert_eq!(on_disk.differs_from(mine, &file).await, differs, "{text}");
        }
        std::fs::remove_file(&file).expect("the directory is ours");
        nix::unistd::mkfifo(&file, nix::sys::stat::Mode::S_IRWXU).expect("the directory is ours");
        assert!(on_disk.differs_from(mine, &file).await, "a pipe is not waited for");
    }
}
