//! A file that does not come: what nobody waits for, and what goes on meanwhile.

use std::time::{Duration, Instant};

use crate::machine::{Background, CONFIG, DEMO, Machine, RDSUP, SOON, eventually};

/// The same file for the command line, which reads it to find the supervisor.
const OTHER: &str = "/srv/machine/other.toml";

/// Mounts a file system whose server never answers at `/srv/far`, for as long as it runs.
const FAR_AWAY: &str = r#"
$^F = 100;
open(my $server, "+<", "/dev/fuse") or die "/dev/fuse: $!";
my $options = sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", fileno($server));
my ($what, $where, $kind) = ("far", "/srv/far", "fuse");
mkdir $where;
# mount(2); what it gets has to be something that could be written.
syscall(165, $what, $where, $kind, 0, $options) == 0 or die "mount: $!";
print STDERR "mounted\n";
sleep 600;
"#;

impl Machine {
    fn other(&self, line: &str) -> crate::machine::Said {
        let mut argv = vec![RDSUP, "-c", OTHER];
        argv.extend(line.split_whitespace());
        self.run(&argv)
    }

    /// Everything that has to go on, done to the machine.
    fn is_looked_after(&self) {
        self.line("ip netns exec internet nft flush ruleset");
        eventually(SOON, "the filter is back", || {
            self.run(&["ip", "netns", "exec", "internet", "nft", "list", "table", "inet", "rdsup"]).status.success()
        });
        self.line("ip -n private link set rd-internet down");
        eventually(SOON, "the link is up again", || {
            self.line("ip -n private -o link show dev rd-internet").contains("LOWER_UP")
        });
        let daemon = self.bird("hostile").expect("a daemon");
        self.line(&format!("kill -9 {daemon}"));
        eventually(SOON, "the daemon is replaced", || self.bird("hostile").is_some_and(|now| now != daemon));
    }
}

#[test]
fn a_pipe_in_the_place_of_the_file_holds_nobody_up() {
    let machine = Machine::running(DEMO);
    machine.write(OTHER, DEMO);
    machine.sh(&format!("rm {CONFIG}; mkfifo {CONFIG}"));
    let asked: Vec<Background> = (0..8).map(|_| machine.spawn(&[RDSUP, "-c", OTHER, "status"])).collect();
    for said in asked {
        let text = said.finish(SOON).stdout;
        assert!(text.contains("rdsup.toml is not what runs"), "{text}");
    }
    machine.is_looked_after();
    machine.signal_supervisor("HUP");
    let wanted = format!("cannot read {CONFIG}: it is a pipe or a device, and not a file");
    eventually(SOON, "it is told why the file is not applied", || machine.other("log").stdout.contains(&wanted));
    machine.signal_supervisor("TERM");
    // A pipe keeps nothing from going on as it was, either.
    machine.run(&[RDSUP, "-c", CONFIG, "start", "--detach"]).ok();
    machine.is_looked_after();
    machine.other("stop").ok();
}

#[test]
#[ignore = "needs root: /dev/fuse"]
fn a_file_server_that_is_away_holds_nobody_up() {
    let machine = Machine::running(DEMO);
    machine.write(OTHER, DEMO);
    // Before it is mounted: ln(1) would wait, too.
    machine.sh(&format!("rm {CONFIG}; ln -s /srv/far/rdsup.toml {CONFIG}"));
    let mut far_away = machine.spawn(&["perl", "-e", FAR_AWAY]);
    eventually(SOON, "it is mounted", || far_away.complaint().contains("mounted"));
    let begun = Instant::now();
    let asked: Vec<Background> = (0..8).map(|_| machine.spawn(&[RDSUP, "-c", OTHER, "status"])).collect();
    for said in asked {
        said.finish(SOON).ok();
    }
    println!("eight times status: {:?}", begun.elapsed());
    machine.signal_supervisor("HUP");
    machine.is_looked_after();
    eventually(Duration::from_mins(1), "it is told why the file is not applied", || {
        machine.other("log").stdout.contains("or a file that it names, does not come for 30s")
    });
    let threads = machine.sh(&format!("ls /proc/{}/task | wc -l", machine.supervisor()));
    println!("{} threads", threads.trim());
    machine.is_looked_after();
    let begun = Instant::now();
    machine.signal_supervisor("TERM");
    println!("it left after {:?}", begun.elapsed());
    machine.run(&[RDSUP, "-c", CONFIG, "start", "--detach"]).ok();
    machine.is_looked_after();
    machine.other("stop").ok();
}

#[test]
fn the_command_line_reads_a_pipe_that_it_is_given() {
    let machine = Machine::new(DEMO);
    for script in ["check /dev/stdin", "-c /dev/stdin render private"] {
        machine.sh(&format!("cat {CONFIG} | {RDSUP} {script} >/srv/said || {{ cat /srv/said; false; }}"));
    }
    machine.sh(&format!("{RDSUP} check <(sleep 0.5; cat {CONFIG})"));
}
