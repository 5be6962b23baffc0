//! The matrix and an answer, for programs: the shapes that `docs/policy.md` describes.

use serde::Serialize;

use super::File;
use super::text::flow;
use crate::model::DomainName;
use crate::policy::{About, Addresses, Clause, Extent, Journey, Pair, Path, Question, Reason};

/// `rdsup policy --json`.
#[derive(Debug, Serialize)]
pub struct Matrix<'a> {
    config: &'a str,
    pairs: Vec<PairOf<'a>>,
}

#[derive(Debug, Serialize)]
struct PairOf<'a> {
    from: &'a str,
    to: &'a str,
    extent: Extent,
    paths: Vec<PathOf<'a>>,
    services: Vec<ServiceOf<'a>>,
}

#[derive(Debug, Serialize)]
struct PathOf<'a> {
    via: Vec<&'a str>,
    links: Vec<String>,
    packets: Vec<String>,
    sources: Set,
    destinations: Set,
    routes: Vec<String>,
    translations: Vec<Translation<'a>>,
}

#[derive(Debug, Serialize)]
struct Set {
    prefixes: Vec<String>,
    except: Vec<String>,
}

#[derive(Debug, Serialize)]
struct ServiceOf<'a> {
    name: &'a str,
    protocol: &'static str,
    seen: String,
    at: String,
    line: u32,
}

#[derive(Debug, Serialize)]
struct Translation<'a> {
    kind: &'static str,
    of: &'a str,
    seen_by: &'a str,
    real: Vec<String>,
    seen: String,
    line: u32,
}

/// The pairs as they are given.
pub fn pairs<'a>(file: &'a File, pairs: &[&'a Pair<'a>]) -> Matrix<'a> {
    Matrix { config: &file.name, pairs: pairs.iter().map(|pair| self::pair(pair)).collect() }
}

fn pair<'a>(pair: &'a Pair<'a>) -> PairOf<'a> {
    let services = pair.services.iter().map(|(service, exposure)| ServiceOf {
        name: service.name.as_str(),
        protocol: service.protocol.as_str(),
        seen: exposure.seen(service).to_string(),
        at: service.at.to_string(),
        line: exposure.origin.line,
    });
    PairOf {
        from: pair.from.as_str(),
        to: pair.to.as_str(),
        extent: pair.extent(),
        paths: pair.paths.iter().map(path).collect(),
        services: services.collect(),
    }
}

fn path<'a>(path: &'a Path<'a>) -> PathOf<'a> {
    let translations = path.translations().into_iter().flat_map(|(end, other)| {
        let (of, seen_by) = (other.domain.as_str(), end.domain.as_str());
        let nat = end.accept.nat.iter().map(move |nat| {
            let real = nat.from.iter().map(ToString::to_string).collect();
            Translation { kind: "nat", of, seen_by, real, seen: nat.to.to_string(), line: nat.origin.line }
        });
        let alias = end.accept.alias.iter().map(move |alias| {
            let (real, seen) = (vec![alias.real.to_string()], alias.seen.to_string());
            Translation { kind: "alias", of, seen_by, real, seen, line: alias.origin.line }
        });
        nat.chain(alias)
    });
    PathOf {
        via: path.via().into_iter().map(DomainName::as_str).collect(),
        links: path.crossings.iter().map(|crossing| crossing.link.label()).collect(),
        packets: path.packets.iter().map(ToString::to_string).collect(),
        sources: set(&path.sources),
        destinations: set(&path.destinations),
        routes: path.routes.iter().map(ToString::to_string).collect(),
        translations: translations.collect(),
    }
}

fn set(set: &Addresses) -> Set {
    let words = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect();
    Set { prefixes: words(&set.prefixes), except: words(&set.except) }
}

/// `rdsup policy SRC DST PACKET --json`.
#[derive(Debug, Serialize)]
pub struct Answer<'a> {
    allowed: bool,
    from: &'a str,
    to: &'a str,
    packet: String,
    source: String,
    destination: String,
    hops: Vec<HopOf<'a>>,
    end: Option<ClauseOf<'a>>,
    notes: &'a [String],
}

#[derive(Debug, Serialize)]
struct HopOf<'a> {
    from: &'a str,
    to: &'a str,
    link: &'a str,
    interface: &'a str,
    source: String,
    destination: String,
    packet: String,
    allowed: bool,
    reason: Option<Reason>,
    clauses: Vec<ClauseOf<'a>>,
}

#[derive(Debug, Serialize)]
struct ClauseOf<'a> {
    about: About,
    value: &'a str,
    holds: bool,
    decides: bool,
    reason: Option<Reason>,
    line: Option<u32>,
    text: Option<&'a str>,
    words: &'a str,
    advice: Option<&'a str>,
}

/// A packet's way.
pub fn answer<'a>(file: &'a File, question: &'a Question, journey: &'a Journey) -> Answer<'a> {
    let hops = journey.hops.iter().map(|hop| HopOf {
        from: hop.from.as_str(),
        to: hop.packet.receiver.as_str(),
        link: &hop.link,
        interface: hop.packet.interface.as_str(),
        source: hop.packet.source.to_string(),
        destination: hop.packet.destination.to_string(),
        packet: flow(hop.packet.transport),
        allowed: hop.verdict.allowed,
        reason: hop.verdict.reason,
        clauses: hop.clauses.iter().map(|it| clause(file, it, hop.deciding() == Some(it))).collect(),
    });
    Answer {
        allowed: journey.arrives,
        from: question.from.as_str(),
        to: question.to.as_str(),
        packet: flow(question.transport),
        source: journey.source.to_string(),
        destination: journey.destination.to_string(),
        hops: hops.collect(),
        end: journey.end.as_ref().map(|it| clause(file, it, true)),
        notes: &journey.notes,
    }
}

fn clause<'a>(file: &'a File, clause: &'a Clause, decides: bool) -> ClauseOf<'a> {
    ClauseOf {
        about: clause.about,
        value: &clause.value,
        holds: clause.holds(),
        decides,
        reason: clause.reason,
        line: Some(clause.line.line).filter(|line| *line > 0),
        text: file.line(clause.line.line).map(|(_, text)| text),
        words: &clause.words,
        advice: clause.advice.as_deref(),
    }
}
