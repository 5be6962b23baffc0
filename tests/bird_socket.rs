//! What a BIRD may say on its control socket and a real one cannot be brought to say on request.

use std::time::Duration;

use rdsup::daemons::bird::Bird;
use rdsup::daemons::bird::protocol::Client;
use rdsup::daemons::{DaemonError, Place, RoutingDaemon};
use rdsup::model::{DaemonKind, Program};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

const BANNER: &str = "0001 BIRD 2.0.12 ready.\n";

/// Plays one connection: each line to expect, then what to say. Ends by closing.
struct Script {
    place: Place,
    task: JoinHandle<Vec<String>>,
    _directory: tempfile::TempDir,
}

impl Script {
    fn play(banner: &'static str, answers: &'static [&'static str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let place = Place::in_directory(DaemonKind::Bird, directory.path());
        let listener = UnixListener::bind(&place.socket).expect("the directory is ours");
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("someone calls");
            let mut stream = BufReader::new(stream);
            stream.get_mut().write_all(banner.as_bytes()).await.expect("it is read");
            let mut asked = Vec::new();
            for answer in answers {
                let mut line = String::new();
                stream.read_line(&mut line).await.expect("it asks");
                asked.push(line.trim_end().to_owned());
                stream.get_mut().write_all(answer.as_bytes()).await.expect("it is read");
            }
            asked
        });
        Self { place, task, _directory: directory }
    }

    async fn asked(self) -> Vec<String> {
        self.task.await.expect("the script ran to its end")
    }
}

#[tokio::test]
async fn a_reload_in_progress_is_waited_for() {
    let script = Script::play(
        BANNER,
        &[
            "0002-Reading configuration from bird.conf\n0004 Reconfiguration in progress\n",
            "0004-Reconfiguration in progress\n0000 \n",
            "0005-Reconfiguration already in progress, queueing new config\n0000 \n",
            "0003-Daemon is up and running\n0000 \n",
        ],
    );
    Bird.reload(Program::Bird, &script.place, None).await.expect("it ends well");
    assert_eq!(script.asked().await, ["configure", "configure status", "configure status", "configure status"]);
}

#[tokio::test]
async fn a_reload_while_the_daemon_leaves_is_refused() {
    let script = Script::play(BANNER, &["0006 Reconfiguration ignored, shutting down\n"]);
    let error = Bird.reload(Program::Bird, &script.place, None).await.expect_err("it leaves");
    assert!(matches!(error, DaemonError::Refused(_)), "{error}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_an_error_and_not_half_an_answer() {
    let script = Script::play(BANNER, &["1007-Table master4:\n 10.0.0.0/8"]);
    let mut client = Client::connect(&script.place.socket, Duration::from_secs(5)).await.expect("it is ready");
    let error = client.ask("show route").await.expect_err("it broke off");
    assert!(matches!(error, DaemonError::BrokenOff { .. }), "{error}");
}

#[tokio::test]
async fn something_else_that_listens_there_is_told_apart() {
    for banner in ["220 mail.example ESMTP\n", "hello\n", "9001 no\n"] {
        let script = Script::play(banner, &[]);
        let error = Client::connect(&script.place.socket, Duration::from_secs(5)).await.expect_err("it is not BIRD");
        assert!(matches!(error, DaemonError::Garbled { .. }), "{error}");
    }
}
