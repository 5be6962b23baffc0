//! What a start begins with: the network that stands, or the file.
//!
//! A network that stands keeps the generation that it was made from. Whoever restarts or upgrades a supervisor has not asked
//! for a change, and the file may be half edited; only `apply` changes a network that runs.

use super::aside::Aside;
use super::failure::RunError;
use super::generations::{Generations, Opening, Read};
use super::keeper::{Applied, Keeper};
use super::kept::stands;
use super::prepare::{PrepareError, Prepared};
use super::run::Options;
use super::sources::Sources;
use crate::config;
use crate::history::Generation;
use crate::plan::Layout;
use crate::sys::Machine;

/// What was found.
pub struct Opened {
    /// What is to run.
    pub prepared: Prepared,
    /// The generation that it is, unless it is the file.
    pub generation: Option<Generation>,
    /// Whether that stands already.
    pub stands: bool,
    /// Where generations are noted.
    pub generations: Generations,
    /// What people should hear.
    pub words: Vec<String>,
}

impl Opened {
    /// What it means that what is to run cannot be used.
    pub fn unusable(&self, error: PrepareError) -> RunError {
        match &self.generation {
            Some(generation) if self.stands => unusable(generation, error),
            _ => error.into(),
        }
    }
}

/// What it means for a network that stands.
fn unusable(generation: &Generation, source: PrepareError) -> RunError {
    RunError::Unsupervised { generation: generation.number, source }
}

/// Finds out what is to run. Changes nothing but damaged notes, which are put aside.
pub async fn open(options: &Options, aside: &Aside) -> Result<Opened, RunError> {
    // The file may be broken by now, or not come, and the network stand all the same.
    let config = options.config.clone();
    let text = aside.read(&options.config, move || Sources::regular_files().configuration(&config)).await;
    let text = text.ok().and_then(Result::ok).unwrap_or_default();
    let state_dir = options.state_dir.clone().unwrap_or_else(|| config::state_dir(&text));
    let layout = Layout::new(config::run_dir(&text), state_dir);
    let (mut generations, mut words) = Generations::open(&layout, &options.config)?;
    let read = || aside.prepare(&options.config, &options.config, options.state_dir.as_deref());
    let stands = Machine::open(&layout.run_dir, &layout.state_dir).is_ok_and(|machine| stands(&machine));
    let opening = if options.apply {
        Opening::File
    } else {
        generations.opening(stands, async || read().await.ok().map(|prepared| prepared.snapshot)).await
    };
    let (file, number) = (options.config.display(), |generation: &Generation| generation.number);
    let stands = matches!(opening, Opening::Standing(_));
    let generation = match opening {
        Opening::File => match (read().await, generations.last()) {
            (Err(error), Some(generation)) if options.or_last => {
                let number = number(&generation);
                words.push(format!("{error}"));
                words.push(format!("{file} cannot be used: starting generation {number}, which was in force last"));
                generation
            }
            (prepared, _) => {
                let prepared = prepared?;
                words.extend(generations.passed_over(&prepared));
                return Ok(Opened { prepared, generation: None, stands: false, generations, words });
            }
        },
        Opening::Standing(generation) => {
            if generation.snapshot.text != text {
                let number = number(&generation);
                words.push(format!("{file} is not what runs: the network keeps generation {number} until rdsup apply"));
            }
            generation
        }
        Opening::Instead { generation, why } => {
            let number = number(&generation);
            words.push(format!(
                "{file} is the same as {why}: starting generation {number} instead; rdsup apply takes the file all the same"
            ));
            generation
        }
    };
    let (named, state_dir) = (generations.config(), options.state_dir.as_deref());
    let prepared = match aside.prepare_again(&generation, named, state_dir).await {
        Err(error) if stands => return Err(unusable(&generation, error)),
        prepared => prepared?,
    };
    Ok(Opened { prepared, generation: Some(generation), stands, generations, words })
}

/// Makes the network what was found, for the first time of this supervisor.
pub async fn first(keeper: &mut Keeper, opened: &mut Opened) -> Result<Applied, RunError> {
    let Opened { prepared, generation, generations, stands, .. } = opened;
    let begun = if let Some(generation) = generation.take() {
        generations.stand_on(generation);
        None
    } else {
        let snapshot = prepared.snapshot.clone();
        generations.begin_anyway(Read { snapshot, file: &prepared.file, by: "start" })
    };
    // What somebody put in the way of one domain must not leave all of them without a supervisor.
    let applied = if *stands { keeper.bring_around(prepared).await } else { keeper.apply(prepared).await };
    match (applied, begun) {
        (Ok(applied), _) => {
            generations.tidy();
            Ok(applied)
        }
        (Err(error), begun) => {
            if let Some(begun) = begun {
                generations.cancel(begun);
            }
            Err(error.into())
        }
    }
}
