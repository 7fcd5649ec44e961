//! A look at processes that run, by the metrics that they show: `zegel status` and `zegel top`.
//! Nothing is changed, and no key is read.

mod figures;
mod page;
mod screen;
mod standing;
mod status;
mod top;

use clap::Args;
use tokio::runtime::Builder;

use self::{
    figures::{Figures, KeeperFigures},
    page::Page,
};
use super::{context::Context, failure::Failure};
use crate::http::Endpoint;

pub(super) use self::{
    status::{StatusArguments, run as status},
    top::{TopArguments, run as top},
};

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
}

/// What a signer shows.
struct Look {
    /// What keeps it from being ready, if anything does.
    not_ready: Option<String>,
    figures: Figures,
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
            return Ok(Self { signer, keeper });
        }
        let settings = context.load()?.settings;
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
        })
    }

    /// Looks at the signer.
    async fn look(&self) -> Result<Look, String> {
        let ready = self.signer.get("/health/ready").await?;
        let not_ready = (!ready.is_good).then(|| ready.text.trim().to_owned());
        let figures = Figures::of(&page_of(&self.signer).await?);
        Ok(Look { not_ready, figures })
    }
}

/// Looks at a keeper.
async fn look_at_keeper(keeper: &Endpoint) -> Result<KeeperFigures, String> {
    Ok(KeeperFigures::of(&page_of(keeper).await?))
}

async fn page_of(endpoint: &Endpoint) -> Result<Page, String> {
    let answer = endpoint.get("/metrics").await?;
    if !answer.is_good {
        return Err("it has no metrics".to_owned());
    }
    Page::parse(&answer.text).map_err(|error| error.to_string())
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
