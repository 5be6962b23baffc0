//! The supervisor's socket with a stand-in for the supervisor behind it.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all, pending};
use rdsup::control::access::AccessRules;
use rdsup::control::{
    Asked, CallError, Caller, Client, ClientError, ErrorKind, Handler, Progress, Reply, Request, Server,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

/// Counts what it finished; `Apply` tells of its progress and waits for the test.
#[derive(Default)]
struct StandIn {
    finished: AtomicUsize,
    go_on: tokio::sync::Notify,
    seen: std::sync::Mutex<Vec<Caller>>,
}

impl Handler for StandIn {
    fn rules(&self) -> Arc<AccessRules> {
        // Whoever runs the tests is an administrator by the group that the kernel names.
        Arc::new(AccessRules { admins: Some(nix::unistd::getegid().as_raw()), ..AccessRules::default() })
    }

    fn handle(&self, request: Request, caller: Caller, progress: Progress) -> BoxFuture<'_, Result<Reply, CallError>> {
        async move {
            self.seen.lock().expect("nobody panicked").push(caller);
            let reply = match request {
                Request::Ping {} => Ok(Reply::Version("9.9".to_owned())),
                Request::Apply { .. } => {
                    progress.line("first");
                    progress.line("second");
                    self.go_on.notified().await;
                    Ok(Reply::Done)
                }
                Request::Stop { .. } => panic!("a bug in the supervisor"),
                Request::Ctl { .. } => Err(CallError::invalid("there is no domain x").hint("rdsup status")),
                _ => Ok(Reply::Lines(vec!["x".repeat(1 << 20)])),
            };
            self.finished.fetch_add(1, Ordering::SeqCst);
            reply
        }
        .boxed()
    }
}

struct Running {
    path: PathBuf,
    handler: Arc<StandIn>,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Running {
    fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("rdsup.sock");
        let server = Server::bind(&path).expect("the directory is ours");
        let handler = Arc::new(StandIn::default());
        let supervisor: Arc<dyn Handler> = Arc::clone(&handler) as Arc<dyn Handler>;
        let task = tokio::spawn(async move { server.serve(supervisor, pending()).await });
        Self { path, handler, task, _directory: directory }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.path).await.expect("it listens")
    }
}

#[tokio::test]
async fn a_request_is_answered_and_the_caller_is_whom_the_kernel_says() {
    let server = Running::start();
    let mut client = server.client().await;
    for _ in 0..3 {
        let reply = client.call(&Request::Ping {}).await.expect("it is allowed");
        assert_eq!(reply, Reply::Version("9.9".to_owned()));
    }
    let seen = server.handler.seen.lock().expect("nobody panicked");
    assert_eq!(seen[0].uid, nix::unistd::geteuid().as_raw());
    assert_eq!(seen[0].pid, i32::try_from(std::process::id()).ok());
    let mode = std::fs::metadata(&server.path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o666, "everyone may ask; who gets an answer is decided for each request");
}

#[tokio::test]
async fn an_error_keeps_its_kind_and_its_hint() {
    let server = Running::start();
    let request = Request::Ctl { domains: Asked::All, command: "show bgp".to_owned(), raw: false };
    match server.client().await.call(&request).await {
        Err(ClientError::Call(error)) => {
            assert_eq!((error.kind, error.hint.as_deref()), (ErrorKind::Invalid, Some("rdsup status")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn progress_comes_before_the_end() {
    let server = Running::start();
    let mut client = server.client().await;
    let mut lines = Vec::new();
    let handler = Arc::clone(&server.handler);
    let reply = client.call_with_progress(&Request::Apply { file: None, config: None, confirm: None }, |line| {
        lines.push(line.to_owned());
        if lines.len() == 2 {
            handler.go_on.notify_one();
        }
    });
    assert_eq!(reply.await.expect("it is allowed"), Reply::Done);
    assert_eq!(lines, ["first", "second"]);
}

#[tokio::test]
async fn a_client_that_dies_changes_nothing() {
    let server = Running::start();
    let mut stream = UnixStream::connect(&server.path).await.expect("it listens");
    stream.write_all(b"{\"method\":\"org.rdsup.Apply\",\"more\":true}\0").await.expect("it reads");
    let mut first = [0; 10];
    stream.read_exact(&mut first).await.expect("it answers");
    drop(stream);
    server.handler.go_on.notify_one();
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut ticks = interval(Duration::from_millis(5));
    while server.handler.finished.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "what was begun is not finished");
        ticks.tick().await;
    }
    assert_eq!(server.client().await.call(&Request::Ping {}).await.ok(), Some(Reply::Version("9.9".to_owned())));
}

#[tokio::test]
async fn clients_that_hang_do_not_hold_up_others() {
    let server = Running::start();
    let mut silent = Vec::new();
    for _ in 0..50 {
        let mut stream = UnixStream::connect(&server.path).await.expect("it listens");
        // Asks for more than the socket holds and does not read it; the last one does not even end its question.
        stream.write_all(b"{\"method\":\"org.rdsup.Status\"}\0{\"meth").await.expect("it reads");
        silent.push(stream);
    }
    let asked = (0..50).map(|_| async { server.client().await.call(&Request::Ping {}).await });
    let replies = join_all(asked).await;
    assert!(replies.iter().all(Result::is_ok));
}

#[tokio::test]
async fn who_asks_nothing_or_half_a_question_goes_and_who_has_asked_may_think_about_the_next() {
    let server = Running::start();
    let mut client = server.client().await;
    assert!(client.call(&Request::Ping {}).await.is_ok());
    let begun = Instant::now();
    for said in [&b""[..], b"{\"meth"] {
        let mut stream = UnixStream::connect(&server.path).await.expect("it listens");
        stream.write_all(said).await.expect("it reads");
        let end = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut [0; 100])).await;
        assert!(matches!(end, Ok(Ok(0) | Err(_))), "{end:?}");
    }
    assert!(begun.elapsed() > Duration::from_secs(15), "both had some time: {:?}", begun.elapsed());
    assert!(client.call(&Request::Ping {}).await.is_ok());
}

#[tokio::test]
async fn what_is_no_request_is_answered_with_an_error() {
    let server = Running::start();
    for (sent, wanted) in [
        (&b"{\"method\":\"org.rdsup.Sing\"}\0"[..], "org.rdsup.Invalid"),
        (b"[]\0", "org.rdsup.Invalid"),
        (b"GET / HTTP/1.1\r\n\r\n\0", "org.rdsup.Invalid"),
    ] {
        let mut stream = UnixStream::connect(&server.path).await.expect("it listens");
        stream.write_all(sent).await.expect("it reads");
        let mut answer = vec![0; 4096];
        let read = stream.read(&mut answer).await.expect("it answers");
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        assert!(answer.contains(wanted), "{answer}");
    }
}

#[tokio::test]
async fn a_panic_in_one_request_is_an_answer_and_not_the_end() {
    let server = Running::start();
    let mut client = server.client().await;
    let error = client.call(&Request::Stop { keep: false }).await.expect_err("it panicked");
    assert_eq!(error.to_string(), "the request broke off; the log says why");
    assert!(client.call(&Request::Ping {}).await.is_ok());
}

#[tokio::test]
async fn nobody_listening_is_said_as_such() {
    let server = Running::start();
    server.task.abort();
    let _ = (&mut { server.task }).await;
    let error = Client::connect(&server.path).await.expect_err("it is gone");
    assert!(matches!(error, ClientError::NotRunning(_)), "{error}");
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("rdsup.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).expect("the directory is ours"));
    assert!(path.exists());
    Server::bind(&path).expect("nobody listens there");
}
