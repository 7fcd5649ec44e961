//! A look at processes that run, by their `/status.json`: `zegel status` and `zegel top`.
//! Nothing is changed, and no key is read.

mod reported;
mod screen;
mod standing;
mod status;
mod top;

use std::time::Duration;

use clap::Args;
use tokio::{runtime::Builder, time::timeout};

use super::{context::Context, failure::Failure};
use crate::{
    config::{Loaded, Settings},
    http::{Endpoint, LookError},
    judgement::SignerReport,
    observe::status::{Ask, Role, SignerFigures},
};

pub(super) use self::{
    status::{StatusArguments, run as status},
    top::{TopArguments, run as top},
};

#[cfg(test)]
pub(super) use self::{status::printed as status_printed, top::printed as top_printed};

/// What to do about each kind of alarm, where the package puts it.
const ALERTS: &str = "/usr/share/doc/zegel/docs/alerts.md";

/// How long a signer is waited for that is asked by the way.
const MOMENT: Duration = Duration::from_secs(3);

#[derive(Args, Debug)]
pub(super) struct SourceArguments {
    /// Where the signer serves its pages: http://HOST:PORT or unix:/PATH [default: http.listen
    /// of the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

/// Where to look.
struct Source {
    signer: Endpoint,
    /// None if it shows nothing, or if nobody said where.
    keeper: Option<Endpoint>,
    /// The configuration of this host; none if someone said where to look.
    loaded: Option<Loaded>,
}

impl Source {
    fn new(
        arguments: &SourceArguments,
        keeper_url: Option<&str>,
        context: &Context,
    ) -> Result<Self, Failure> {
        let parse = |option: &str, url: &str| {
            Endpoint::parse(url)
                .map_err(|advice| Failure::Usage(format!("{option} {url}: {advice}")))
        };
        let keeper = keeper_url
            .map(|url| parse("--keeper-url", url))
            .transpose()?;
        if let Some(url) = &arguments.url {
            let signer = parse("--url", url)?;
            return Ok(Self {
                signer,
                keeper,
                loaded: None,
            });
        }
        let loaded = context.load()?;
        let settings = &loaded.settings;
        let signer = Endpoint::of(&settings.http).ok_or_else(|| {
            Failure::Usage(format!(
                "http.listen is {}, so that there is nothing to look at; give it an address in \
                 {} and restart, or name one with --url",
                settings.http,
                context.config_file().display()
            ))
        })?;
        Ok(Self {
            signer,
            keeper: keeper.or_else(|| Endpoint::of(&settings.keeper.http)),
            loaded: Some(loaded),
        })
    }

    /// Looks at the signer.
    async fn look(&self, ask: &Ask) -> Result<SignerReport, LookError> {
        let path = format!("/status.json?{ask}");
        self.signer.look(Role::Signer, &path).await
    }
}

/// Asks the signer of this configuration, if one answers within a moment: for commands that have
/// something to say without it.
pub(super) fn ask_signer(settings: &Settings) -> Option<SignerFigures> {
    let signer = Endpoint::of(&settings.http)?;
    let asking = async move {
        let ask = format!("/status.json?{}", Ask::default());
        let look = signer.look::<SignerReport>(Role::Signer, &ask);
        timeout(MOMENT, look).await.ok()?.ok()
    };
    let report = on_runtime(asking).ok()??;
    Some(report.status.figures)
}

/// Runs this to its end, and waits for nothing that it has left behind, such as a name that is
/// still being looked up.
fn on_runtime<T>(asking: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Failure::Other(format!("nothing can be asked: {error}")))?;
    let asked = runtime.block_on(asking);
    runtime.shutdown_background();
    Ok(asked)
}

/// Seconds in the two largest units that they have.
fn duration(seconds: u64) -> String {
    let units = [("d", 86400), ("h", 3600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, unit)| seconds >= *unit);
    let first = first.unwrap_or(units.len() - 1);
    let mut rest = seconds;
    let mut parts = Vec::new();
    for (name, unit) in units.iter().skip(first).take(2) {
        if rest >= *unit || parts.is_empty() {
            parts.push(format!("{}{name}", rest / unit));
        }
        rest %= unit;
    }
    parts.join(" ")
}
