//! The templates: those compiled in, and the files that replace them.

use std::collections::BTreeMap;

use handlebars::template::{HelperTemplate, Parameter, Template, TemplateElement};
use handlebars::{Handlebars, RenderErrorReason, no_escape};
use serde::Serialize;

use super::frr::Dialect;

/// Where a template is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// There is no built-in of that path, so nothing would ever use the file.
    #[error("{path} replaces no built-in template; there are {}", known.join(", "))]
    Unknown {
        /// The path below the templates directory.
        path: String,
        /// Every path there is.
        known: Vec<String>,
    },
    /// The text is not a template, or uses something that would let a mistake pass in silence.
    #[error("{path}{}: {message}", position(*.at))]
    Syntax {
        /// The path below the templates directory.
        path: String,
        /// Line and column, counted from 1, where known.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
    },
    /// A value that a template names is not there.
    #[error("{path}{}: {message}", position(*.at))]
    Render {
        /// The path below the templates directory.
        path: String,
        /// Line and column, counted from 1, where known.
        at: Option<(usize, usize)>,
        /// What is wrong.
        message: String,
    },
}

fn position(at: Option<(usize, usize)>) -> String {
    at.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default()
}

const EXTENSION: &str = ".hbs";

macro_rules! built_in {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../templates/", $path)))),*]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in![
    "bird/bird.conf.hbs",
    "bird/cache.hbs",
    "bird/channel.hbs",
    "bird/family.hbs",
    "bird/filters.hbs",
    "bird/link.hbs",
    "bird/neighbor.hbs",
    "frr/bfdd.conf.hbs",
    "frr/bgpd.conf.hbs",
    "frr/cache.hbs",
    "frr/channel.hbs",
    "frr/export.hbs",
    "frr/family.hbs",
    "frr/first.hbs",
    "frr/import.hbs",
    "frr/kernel.hbs",
    "frr/link.hbs",
    "frr/mgmtd.conf.hbs",
    "frr/neighbor.hbs",
    "frr/note.hbs",
    "frr/steps.hbs",
    "frr/zebra.conf.hbs",
    "nft/table.hbs",
    "nft/domain.hbs",
    "nft/host.hbs",
    "nft/link.hbs",
    "nft/link_out.hbs",
    "nft/flows.hbs",
    "nft/translate.hbs",
    "nft/interface.hbs",
    "nft/set.hbs",
    "nft/wire.hbs",
];

/// Every template, ready to render.
#[derive(Clone, Debug)]
pub struct Templates {
    registry: Handlebars<'static>,
    texts: BTreeMap<String, String>,
    /// How the FRR that is installed reads what they make.
    frr: Dialect,
}

impl Templates {
    /// Those compiled into the program.
    ///
    /// # Panics
    /// If one of them is no template, which a test rules out.
    pub fn built_in() -> Self {
        let mut registry = Handlebars::new();
        registry.set_strict_mode(true);
        // What comes out is no HTML; strings arrive quoted for their target.
        registry.register_escape_fn(no_escape);
        let mut templates = Self { registry, texts: BTreeMap::new(), frr: Dialect::default() };
        for (path, text) in BUILT_IN {
            templates.put(path, (*text).to_owned()).expect("built-in templates are checked by a test");
        }
        templates
    }

    /// The same for an FRR that reads in its own way.
    #[must_use]
    pub fn for_frr(mut self, dialect: Dialect) -> Self {
        self.frr = dialect;
        self
    }

    /// How FRR reads what they make.
    pub(super) fn frr(&self) -> Dialect {
        self.frr
    }

    /// Every path, with the text that is used.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.texts.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Replaces the built-in template at `path`, such as `bird/link.hbs`.
    pub fn overlay(&mut self, path: &str, text: String) -> Result<(), TemplateError> {
        if !BUILT_IN.iter().any(|(known, _)| *known == path) {
            let known = BUILT_IN.iter().map(|(known, _)| (*known).to_owned()).collect();
            return Err(TemplateError::Unknown { path: path.to_owned(), known });
        }
        self.put(path, text)
    }

    fn put(&mut self, path: &str, text: String) -> Result<(), TemplateError> {
        let name = path.strip_suffix(EXTENSION).unwrap_or(path);
        let syntax = |at, message| TemplateError::Syntax { path: path.to_owned(), at, message };
        let template = Template::compile_with_name(&text, name.to_owned())
            .map_err(|error| syntax(error.pos(), error.reason().to_string()))?;
        lint(&template).map_err(|(at, message)| syntax(Some(at), message))?;
        self.registry.register_template(name, template);
        self.texts.insert(path.to_owned(), text);
        Ok(())
    }

    /// Renders the template at `path`.
    pub(super) fn render(&self, path: &str, context: &impl Serialize) -> Result<String, TemplateError> {
        let name = path.strip_suffix(EXTENSION).unwrap_or(path);
        self.registry.render(name, context).map_err(|error| TemplateError::Render {
            path: format!("{}{EXTENSION}", error.template_name.as_deref().unwrap_or(name)),
            at: error.line_no.zip(error.column_no),
            message: in_words(error.reason()),
        })
    }
}

/// The commonest mistake, a field that there is not, in words rather than in those of the library's types.
fn in_words(reason: &RenderErrorReason) -> String {
    match reason {
        RenderErrorReason::MissingVariable(Some(field)) => format!("there is no field `{field}`"),
        reason => reason.to_string(),
    }
}

/// Refuses what strict mode lets through: `{{{x}}}` and `{{&x}}`, which bypass the escape function whatever it will
/// be, and arguments of partials, where a missing value renders as nothing.
fn lint(template: &Template) -> Result<(), ((usize, usize), String)> {
    for (element, mapping) in template.elements.iter().zip(&template.mapping) {
        let at = (mapping.0, mapping.1);
        match element {
            TemplateElement::HtmlExpression(_) => {
                return Err((at, "{{{x}}} and {{&x}} are not used here; write {{x}}".to_owned()));
            }
            TemplateElement::PartialExpression(partial) | TemplateElement::PartialBlock(partial) => {
                // A bare name as the only parameter changes the context; a missing one would be silent too.
                if !partial.hash.is_empty() || !partial.params.is_empty() {
                    let message = "a partial takes no arguments here, because a missing one would render as nothing";
                    return Err((at, message.to_owned()));
                }
                if !matches!(partial.name, Parameter::Name(_) | Parameter::Path(_)) {
                    return Err((at, "the name of a partial must be written out".to_owned()));
                }
                partial.template.as_ref().map_or(Ok(()), lint)?;
            }
            TemplateElement::HelperBlock(block) => lint_block(block)?,
            _ => {}
        }
    }
    Ok(())
}

fn lint_block(block: &HelperTemplate) -> Result<(), ((usize, usize), String)> {
    block.template.iter().chain(block.inverse.iter()).try_for_each(lint)
}
