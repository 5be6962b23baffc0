//! Processes held by pidfds, and programs started inside namespaces.

mod sys_world;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use rdsup::model::{DaemonName, DomainName, Program};
use rdsup::sys::process::{Activity, ExitStatus, Identity, MountPlan, Output, OutputPipe, Process, Signal, Spawn};
use rdsup::sys::{SysError, nft};
use sys_world::{command, domain, filter, in_own_host, machine, make_domain, output};

const SOON: Duration = Duration::from_secs(10);

fn shell(script: &str) -> Spawn {
    Spawn::new("sh").args(["-c", script])
}

async fn said(spawn: Spawn) -> String {
    let captured = spawn.run_captured(SOON).await.unwrap();
    assert!(captured.success(), "{}", captured.words());
    captured.stdout
}

#[tokio::test]
async fn a_child_tells_its_exit_code_or_the_signal_that_killed_it() {
    let process = shell("exit 7").spawn().unwrap();
    assert_eq!(process.exited().await.unwrap(), ExitStatus::Code(7));
    let process = Spawn::new("sleep").arg("600").spawn().unwrap();
    assert!(process.signal(Signal::KILL).unwrap());
    assert_eq!(process.exited().await.unwrap(), ExitStatus::Signal(9));
    assert!(!process.signal(Signal::KILL).unwrap(), "there is nothing left to signal");
}

#[tokio::test]
async fn an_adopted_process_tells_its_exit_code_where_the_kernel_keeps_it() {
    // The shell in between is the parent that reaps it; what is adopted is the grandchild.
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let script =
        format!("exec 3<&0; sh -c 'read _; exit 7' <&3 & echo $! > {0}.new; mv {0}.new {0}; wait $!", file.display());
    let mut parent = command("sh").args(["-c", &script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    let pid = eventually(|| std::fs::read_to_string(&file).ok()).await;
    let pid: u32 = pid.trim().parse().unwrap();
    let record = rdsup::sys::process::ProcessRecord::of(pid).unwrap();
    let adopted = Process::adopt(&record).unwrap().expect("it runs");
    drop(parent.stdin.take());
    let waited = tokio::task::spawn_blocking(move || parent.wait());
    let status = adopted.exited().await.unwrap();
    waited.await.unwrap().unwrap();
    // PIDFD_INFO_EXIT came with Linux 6.15.
    let kernel = nix::sys::utsname::uname().unwrap();
    let release = kernel.release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let knows = (numbers.next(), numbers.next()) >= (Some(6), Some(15));
    assert_eq!(status, if knows { ExitStatus::Code(7) } else { ExitStatus::Unknown });
    assert!(Process::adopt(&record).unwrap().is_none(), "it is gone");
}

#[tokio::test]
async fn a_number_that_means_another_process_is_not_adopted() {
    let process = Spawn::new("sleep").arg("600").spawn().unwrap();
    let record = process.record().unwrap();
    assert!(Process::adopt(&record).unwrap().is_some());
    let mut earlier = record.clone();
    earlier.start_time -= 1;
    let mut last_boot = record.clone();
    last_boot.boot_id = "00000000-0000-0000-0000-000000000000".to_owned();
    let mut other_program = record.clone();
    other_program.exe = "/usr/sbin/bird".into();
    let mut other_namespace = record.clone();
    other_namespace.netns_inode += 1;
    for stranger in [earlier, last_boot, other_program, other_namespace] {
        assert!(Process::adopt(&stranger).unwrap().is_none(), "{stranger:?}");
    }
    process.signal(Signal::KILL).unwrap();
    process.exited().await.unwrap();
    assert!(Process::adopt(&record).unwrap().is_none());
}

#[tokio::test]
async fn a_program_that_is_missing_or_silent_is_named() {
    let missing = Spawn::new("no-such-program").spawn().unwrap_err();
    assert!(matches!(missing, SysError::MissingProgram { .. }), "{missing}");
    let silent = Spawn::new("sleep").arg("600").run_captured(Duration::from_millis(50)).await.unwrap_err();
    assert!(silent.to_string().contains("sleep gave no answer"), "{silent}");
}

#[tokio::test]
async fn a_child_gets_its_input_and_nothing_of_the_service_manager() {
    let text = "x".repeat(200_000);
    assert_eq!(said(Spawn::new("cat").stdin(text.as_str())).await, text);
    let env = said(Spawn::new("env").env("RDSUP_CONFIG", "/x").env("OWN", "1")).await;
    assert!(env.contains("OWN=1") && env.contains("RDSUP_CONFIG=/x"), "what is set on purpose stays: {env}");
}

/// One that was taken over has the capabilities of the daemon that it was, here all of them.
#[test]
fn a_daemon_is_refused_what_would_lead_it_out_of_its_domain() {
    in_own_host("a_daemon_is_refused_what_would_lead_it_out_of_its_domain", || async {
        let machine = machine();
        for name in ["a", "b"] {
            make_domain(&machine, name).await;
            std::fs::create_dir_all(machine.run_dir().join(name)).unwrap();
        }
        let other = Spawn::new("sleep").arg("600").spawn().unwrap();
        let confined = |spawn: Spawn| {
            let plan = MountPlan::for_domain(machine.run_dir(), &domain("a")).unwrap();
            spawn.namespace(&machine.namespace(&domain("a")).unwrap()).mounts(plan).confined()
        };
        let status = said(confined(shell("cat /proc/self/status; ls /run/netns"))).await;
        for line in ["NoNewPrivs:\t1\n", "Seccomp:\t2\n", "Seccomp_filters:\t2\n"] {
            assert!(status.contains(line), "{status}");
        }
        assert!(status.ends_with('\n') && !status.ends_with("b\n"), "names of namespaces are seen:\n{status}");

        let pid = other.pid();
        for attempt in [
            &format!("nsenter --net=/proc/{pid}/ns/net true"),
            "unshare --net true",
            "unshare --mount true",
            "chroot / true",
            &format!("kill -0 {pid}"),
        ] {
            // A fault of the attempt itself would be refused as well.
            said(shell(attempt)).await;
            let refused = confined(shell(attempt)).run_captured(SOON).await.unwrap();
            let words = refused.words();
            assert!(!refused.success() && words.contains("not permitted"), "{attempt}: {} {words}", refused.status);
        }
        assert!(other.signal(Signal::KILL).unwrap(), "it still runs");

        // What the programs above do not use.
        let answers = [
            // open_tree_attr, and one that there is not yet.
            (467, "-100, 0, 0, 0, 0", libc::ENOSYS),
            (500, "0", libc::ENOSYS),
            (libc::SYS_fcntl, "0, 8, 1", libc::EPERM),
            (libc::SYS_fcntl, "0, 10, 9", libc::EPERM),
            (libc::SYS_fcntl, "0, 15, 0", libc::EPERM),
            (libc::SYS_fcntl, "0, 3, 0", 0),
            (libc::SYS_ioctl, "0, 0x8901, 0", libc::EPERM),
            (libc::SYS_prlimit64, "1, 7, 0, 0", libc::EPERM),
            (libc::SYS_prlimit64, "0, 7, 0, 0", 0),
            (libc::SYS_prlimit64, "0 + $$, 7, 0, 0", 0),
            (libc::SYS_sched_setaffinity, "1, 0, 0", libc::EPERM),
            (libc::SYS_setpriority, "0, 1, 0", libc::EPERM),
            (libc::SYS_setpriority, "2, 0, 0", libc::EPERM),
            (libc::SYS_setpriority, "0, 0, 0", 0),
            (libc::SYS_umount2, "(my $at = '/run/netns'), 0", libc::EPERM),
            (libc::SYS_mount, "(my $what = 'none'), (my $at = '/mnt'), (my $kind = 'tmpfs'), 0, 0", libc::EPERM),
            (libc::SYS_bpf, "0, 0, 0", libc::EPERM),
            (libc::SYS_ptrace, "0, 0, 0, 0", libc::EPERM),
            (libc::SYS_process_vm_readv, "0 + $$, 0, 0, 0, 0, 0", libc::EPERM),
            (libc::SYS_pidfd_open, "0 + $$, 0", libc::EPERM),
            (libc::SYS_open_tree, "-100, 0, 0", libc::EPERM),
            (libc::SYS_move_mount, "-1, 0, -1, 0, 0", libc::EPERM),
            (libc::SYS_io_uring_setup, "1, 0", libc::EPERM),
            (libc::SYS_tgkill, "1, 1, 0", libc::EPERM),
            (libc::SYS_tgkill, "0 + $$, 0 + $$, 0", 0),
            (libc::SYS_kill, "0 + $$, 0", 0),
            (libc::SYS_kill, "-1, 0", libc::EPERM),
            (libc::SYS_clone, "0x40000000 | 17, 0, 0, 0, 0", libc::EPERM),
            (libc::SYS_clone3, "0, 0", libc::ENOSYS),
            (libc::SYS_socket, "40, 1, 0", libc::EPERM),
            (libc::SYS_socket, "2, 2, 0", 0),
            (libc::SYS_socket, "16, 3, 12", libc::EPERM),
            (libc::SYS_socket, "16, 3, 0", 0),
            #[cfg(target_arch = "x86_64")]
            (libc::SYS_setns | 0x4000_0000, "0, 0", libc::EPERM),
        ];
        for (call, arguments, errno) in answers {
            let script = format!("print syscall({call}, {arguments}) < 0 ? $! + 0 : 0");
            let answer = said(confined(Spawn::new("perl").args(["-e", &script]))).await;
            assert_eq!(answer, errno.to_string(), "system call {call} ({arguments})");
        }
        // It can still have children and threads.
        assert_eq!(said(confined(shell("(echo child)"))).await, "child\n");
    });
}

/// All daemons are the same user: one that was taken over must not reach the sockets and the passwords of the others.
#[test]
fn a_daemon_sees_of_the_run_directory_its_own_part_alone() {
    in_own_host("a_daemon_sees_of_the_run_directory_its_own_part_alone", || async {
        let machine = machine();
        for name in ["a", "b"] {
            std::fs::create_dir_all(machine.run_dir().join(name)).unwrap();
            write(&format!("/run/rdsup/{name}/bird.conf"), "secret\n");
        }
        let mounts = MountPlan::for_domain(machine.run_dir(), &domain("a")).unwrap();
        let look = shell("cd /run/rdsup; ls; cat a/bird.conf; touch a/made").mounts(mounts);
        let said = look.run_captured(Duration::from_secs(5)).await.unwrap();
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("a\nsecret\n", ""));
        // Of the files of the machine, those that its user could write to belong to all daemons, and some to the machine's own.
        std::fs::create_dir("/run/other").unwrap();
        let mounts = MountPlan::for_domain(machine.run_dir(), &domain("a")).unwrap();
        let write = shell(
            "echo > /dev/null; echo 0 > /proc/sys/net/ipv4/ip_forward; touch /run/rdsup/made /run/other/made /etc/made",
        );
        let said = write.mounts(mounts).run_captured(Duration::from_secs(5)).await.unwrap();
        let refused: Vec<&str> = said.stderr.lines().filter(|line| line.ends_with("Read-only file system")).collect();
        assert_eq!((refused.len(), said.stderr.lines().count()), (3, 3), "{}", said.stderr);
        assert!(Path::new("/run/rdsup/a/made").exists(), "what it makes there is seen by all");
        assert!(Path::new("/run/rdsup/b/bird.conf").exists(), "nothing changed outside");
    });
}

#[test]
fn a_daemon_runs_inside_its_namespace_with_its_own_resolver() {
    let name = "a_daemon_runs_inside_its_namespace_with_its_own_resolver";
    in_own_host(name, || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        std::fs::create_dir_all("/run/rdsup/a").unwrap();
        write("/run/rdsup/a/resolv.conf", "nameserver 192.0.2.53\n");
        let namespace = machine.namespace(&domain("a")).unwrap();
        let plan = MountPlan::for_domain(machine.run_dir(), &domain("a")).unwrap();
        let script = "cat /etc/resolv.conf; ls /sys/class/net";
        let said = said(shell(script).namespace(&namespace).mounts(plan)).await;
        let (resolver, interfaces) = said.split_once('\n').unwrap();
        assert_eq!(resolver, "nameserver 192.0.2.53");
        assert!(interfaces.lines().all(|name| ["lo", "sit0", "ip6tnl0", "tunl0"].contains(&name)), "{said}");
        let process = Spawn::new("sleep").arg("600").namespace(&namespace).spawn().unwrap();
        assert_eq!(process.record().unwrap().netns_inode, namespace.inode());
        assert_ne!(output("cat", &["/etc/resolv.conf"]), "nameserver 192.0.2.53\n", "the host keeps its own");
        process.signal(Signal::TERM).unwrap();
        process.exited().await.unwrap();
    });
}

#[test]
fn a_command_in_a_domain_cannot_reach_name_services_but_keeps_the_resolver_file() {
    let name = "a_command_in_a_domain_cannot_reach_name_services_but_keeps_the_resolver_file";
    in_own_host(name, || async {
        std::fs::create_dir_all("/run/dbus").unwrap();
        write("/run/dbus/system_bus_socket", "");
        let plan = MountPlan::for_command(Path::new("/run/rdsup"), &domain("a")).unwrap();
        let listed = said(shell("ls -A /run/dbus; cat /etc/resolv.conf").mounts(plan)).await;
        assert_eq!(listed, output("cat", &["/etc/resolv.conf"]));
        assert!(Path::new("/run/dbus/system_bus_socket").exists());
    });
}

#[test]
fn who_becomes_a_user_has_no_capability_left_and_none_to_gain() {
    in_own_host("who_becomes_a_user_has_no_capability_left_and_none_to_gain", || async {
        assert!(
            nix::unistd::getuid().is_root() && !output("cat", &["/proc/self/uid_map"]).contains(" 1\n"),
            "this test needs root"
        );
        let nobody = Identity::look_up("nobody").unwrap().expect("every system has one");
        let status = said(Spawn::new("cat").arg("/proc/self/status").identity(nobody)).await;
        for line in ["Prm", "Eff", "Amb", "Inh"].map(|set| format!("Cap{set}:\t0000000000000000")) {
            assert!(status.contains(&line), "{line} in {status}");
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{status}");
        assert!(status.contains("CapBnd:\t0000000000002000"), "CAP_NET_RAW alone, so that ping starts: {status}");
        assert!(!status.contains("Uid:\t0"), "{status}");
    });
}

#[test]
fn a_stray_daemon_of_one_of_the_sockets_is_ended_and_no_other() {
    in_own_host("a_stray_daemon_of_one_of_the_sockets_is_ended_and_no_other", || async {
        let machine = machine();
        std::fs::create_dir_all(machine.run_dir()).unwrap();
        write("/run/bird.conf", "router id 192.0.2.1;\nprotocol device {}\n");
        let start =
            |socket: &str| Spawn::new("bird").args(["-f", "-c", "/run/bird.conf", "-s", socket]).spawn().unwrap();
        let socket = |domain: &str| format!("/run/rdsup/{domain}/bird.ctl");
        for domain in ["ours", "other"] {
            std::fs::create_dir_all(format!("/run/rdsup/{domain}")).unwrap();
        }
        let name = |domain: &str| DaemonName::new(&DomainName::new(domain).unwrap(), Program::Bird);
        let names = BTreeSet::from([name("ours"), name("nobodys")]);
        assert!(machine.end_strays(names.clone()).await.unwrap().is_empty(), "none runs yet");
        let (ours, other) = (start(&socket("ours")), start(&socket("other")));
        for domain in ["ours", "other"] {
            eventually(|| std::os::unix::net::UnixStream::connect(socket(domain)).ok()).await;
        }
        // Its socket's name is no proof of life: it may have been removed.
        std::fs::remove_file(socket("ours")).unwrap();
        let ended = machine.end_strays(names).await.unwrap();
        assert_eq!(ended, BTreeSet::from([name("ours")]));
        assert_eq!(ours.exited().await.unwrap(), ExitStatus::Signal(9));
        assert!(other.is_running());
        other.signal(Signal::KILL).unwrap();
        other.exited().await.unwrap();
    });
}

#[tokio::test]
async fn the_leader_of_a_new_session_gets_no_file_that_happens_to_be_open() {
    let file = tempfile::tempfile().unwrap();
    nix::fcntl::fcntl(&file, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let number = std::os::fd::AsRawFd::as_raw_fd(&file);
    let list = format!("[ -e /proc/self/fd/{number} ] && echo open || echo closed");
    assert_eq!(said(shell(&list)).await, "open\n", "the test proves nothing");
    assert_eq!(said(shell(&list).new_session()).await, "closed\n");
}

#[tokio::test]
async fn who_writes_to_a_pipe_that_nobody_reads_is_neither_stopped_nor_killed_and_the_next_reader_has_the_first_of_it()
{
    let directory = tempfile::tempdir().unwrap();
    // Its directory is made, and what else has its name goes.
    let path = directory.path().join("log/a.bird.pipe");
    std::fs::create_dir(directory.path().join("log")).unwrap();
    write(path.to_str().unwrap(), "the log of an older version\n");
    let script = "i=0; while [ $i -lt 20000 ]; do echo line $i 2>/dev/null; i=$((i+1)); done; exit 7";
    let process = shell(script).output(Output::Pipe(path.clone())).spawn().unwrap();
    let status = tokio::time::timeout(SOON, process.exited()).await.expect("it is not stopped").unwrap();
    // With no other end left at all what was said is gone; a daemon has its own until it ends.
    assert_eq!(status, ExitStatus::Code(7));
    let process =
        shell(&format!("{script} & wait; exec sleep 600")).output(Output::Pipe(path.clone())).spawn().unwrap();
    let pipe = OutputPipe::open(&path).unwrap();
    tokio::time::timeout(SOON, pipe.readable()).await.expect("something was said").unwrap();
    let mut buffer = vec![0; 100_000];
    let read = pipe.try_read(&mut buffer).unwrap();
    // The reader may be there before the second line is.
    assert!(buffer[..read].starts_with(b"line 0\n"));
    drop(pipe);
    process.signal(Signal::KILL).unwrap();
    process.exited().await.unwrap();
}

#[test]
fn a_link_in_the_place_of_a_pipe_is_not_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (link, target) = (directory.path().join("link"), directory.path().join("target"));
    write(target.to_str().unwrap(), "someone's\n");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    shell("echo said").output(Output::Pipe(link.clone())).spawn().unwrap().wait().unwrap();
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "someone's\n");
    assert!(!std::fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[tokio::test]
async fn a_process_works_while_it_computes_and_not_when_it_is_stopped() {
    let process = shell("while :; do :; done").spawn().unwrap();
    let before = Activity::of(process.pid()).unwrap();
    eventually(|| Activity::of(process.pid()).unwrap().is_work_since(before).then_some(())).await;
    process.signal(Signal::STOP).unwrap();
    eventually(|| {
        let before = Activity::of(process.pid()).unwrap();
        (!Activity::of(process.pid()).unwrap().is_work_since(before)).then_some(())
    })
    .await;
    process.signal(Signal::KILL).unwrap();
    process.exited().await.unwrap();
}

#[tokio::test]
async fn a_ruleset_is_checked_without_being_loaded_anywhere() {
    nft::check(&filter("a")).await.unwrap();
    let error = nft::check("table inet rdsup {\n bad words\n}\n").await.unwrap_err().to_string();
    assert!(error.contains(":2:") && error.contains("check the packet filter"), "{error}");
}

#[test]
fn named_counters_of_the_table_are_read() {
    in_own_host("named_counters_of_the_table_are_read", || async {
        let machine = machine();
        make_domain(&machine, "a").await;
        let namespace = machine.namespace(&domain("a")).unwrap();
        let counters = nft::counters(&namespace).await.unwrap();
        assert_eq!(counters.into_iter().collect::<Vec<_>>(), [("c_dropped".to_owned(), nft::Counter::default())]);
        assert!(nft::counters(&machine.namespace(&domain("host")).unwrap()).await.unwrap().is_empty());
    });
}

#[expect(clippy::disallowed_methods, reason = "the test makes what the program finds")]
fn write(path: &str, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// Waits until `probe` answers.
async fn eventually<T>(mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(std::time::Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
