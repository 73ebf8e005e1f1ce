use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::{bail, ensure};
use clap::Subcommand;
use jiff::Timestamp;
use reelhouse_api::EventKind;
use reelhouse_fetch::PublicUrl;
use reelhouse_service::{Clock, SystemClock, new_webhook_secret};
use reelhouse_store::{DeliveryRecord, Store};
use tokio::time::{Instant, sleep};

use crate::settings::Settings;

/// How long `test` waits for a server to send it.
const TEST_TIME: Duration = Duration::from_secs(30);

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Tell a URL what happens to an account's assets from now on. Prints the webhook's id and its secret, which is shown
    /// this once: deliveries are signed with it, as standardwebhooks.com says.
    Add {
        /// Where events are posted to
        url: PublicUrl,
        /// What it is told, comma-separated
        #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = event,
              default_values_t = EventKind::ALL.iter().map(|event| Event(*event)))]
        events: Vec<Event>,
        /// Whose assets
        #[arg(long, value_name = "NAME", default_value = "default")]
        account: String,
    },
    /// List webhooks: id, account, state, time of making, events, URL.
    List,
    /// Forget a webhook and its deliveries.
    Remove {
        /// Its id, as `list` shows it
        id: String,
    },
    /// Tell a webhook again that was disabled because its receiver answered 410 Gone.
    Enable {
        /// Its id, as `list` shows it
        id: String,
    },
    /// Have the server send a webhook a message of type `webhook.test`, and say how it went.
    Test {
        /// Its id, as `list` shows it
        id: String,
    },
    /// List what was or will be sent in the last days, newest first: id, webhook, event, asset, state, attempts, what the
    /// last one came to, when it happened, when it is sent next. State `dead` is given up, `blocked` waits for an earlier
    /// one of the same asset.
    Deliveries {
        /// Only of this webhook
        id: Option<String>,
        /// Only those given up
        #[arg(long)]
        dead: bool,
        /// The most that are listed
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: u32,
    },
    /// Send a delivery again as if it were new, or all that were given up.
    Replay {
        /// Its id, as `deliveries` shows it
        #[arg(required_unless_present = "dead", conflicts_with = "dead")]
        id: Option<String>,
        /// All that were given up
        #[arg(long)]
        dead: bool,
    },
}

/// An event as it stands on the command line.
#[derive(Clone)]
pub(crate) struct Event(EventKind);

impl std::fmt::Display for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }
}

fn event(text: &str) -> Result<Event, String> {
    let known = || EventKind::ALL.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(", ");
    EventKind::parse(text.trim()).map(Event).ok_or_else(|| format!("known are {}", known()))
}

pub(crate) async fn run(settings: Settings, command: Command) -> anyhow::Result<ExitCode> {
    let store = Store::attach(&settings.data_dir, &settings.homes()?).await?;
    let now_ms = SystemClock.now_ms();
    let mut out = std::io::stdout();
    match command {
        Command::Add { url, events, account } => {
            let mut events: Vec<EventKind> = events.into_iter().map(|event| event.0).collect();
            events.dedup();
            let secret = new_webhook_secret()?;
            let Some(webhook) = store.add_webhook(&account, url.as_str(), &events, &secret, now_ms).await?
            else {
                bail!("there is no account {account}; `reelhouse accounts list` shows them")
            };
            println!("{}  {secret}", webhook.id);
        }
        Command::List => {
            for webhook in store.webhooks().await? {
                let state = if webhook.disabled_at.is_some() { "disabled" } else { "enabled" };
                let events: Vec<&str> = webhook.events.iter().map(|event| event.as_str()).collect();
                let line = format!(
                    "{}  {:<16}  {state:<8}  {:.0}  {}  {}",
                    webhook.id,
                    webhook.account,
                    Timestamp::from_millisecond(webhook.created_at)?,
                    events.join(","),
                    webhook.url
                );
                // Whoever reads no further has seen enough.
                if writeln!(out, "{line}").is_err() {
                    break;
                }
            }
        }
        Command::Remove { id } => {
            ensure!(store.remove_webhook(&id).await?, no_webhook(&id));
            println!("removed {id}");
        }
        Command::Enable { id } => {
            ensure!(
                store.enable_webhook(&id).await?,
                "there is no disabled webhook {id}; `reelhouse webhooks list` shows them"
            );
            println!("enabled {id}");
        }
        Command::Test { id } => return test(&store, &id, now_ms).await,
        Command::Deliveries { id, dead, limit } => {
            if let Some(id) = &id {
                ensure!(store.webhook(id).await?.is_some(), no_webhook(id));
            }
            for delivery in store.deliveries(id.as_deref(), dead, limit).await? {
                if writeln!(out, "{}", line(&delivery)?).is_err() {
                    break;
                }
            }
        }
        Command::Replay { id, dead: _ } => {
            let replayed = store.replay(id.as_deref(), now_ms).await?;
            if let Some(id) = id {
                ensure!(
                    replayed > 0,
                    "there is no delivery {id} of an enabled webhook that could be sent again; \
                     `reelhouse webhooks deliveries` shows them"
                );
            }
            println!("{replayed} to be sent again");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn no_webhook(id: &str) -> String {
    format!("there is no webhook {id}; `reelhouse webhooks list` shows them")
}

async fn test(store: &Store, id: &str, now_ms: i64) -> anyhow::Result<ExitCode> {
    let Some(delivery) = store.test_webhook(id, now_ms).await? else {
        bail!("there is no enabled webhook {id}; `reelhouse webhooks list` shows them")
    };
    let until = Instant::now() + TEST_TIME;
    while Instant::now() < until {
        let Some(delivery) = store.delivery(&delivery).await? else { bail!("the webhook is gone") };
        if delivery.attempts > 0 {
            println!("{}", line(&delivery)?);
            let delivered = delivery.state == "delivered";
            return Ok(if delivered { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        sleep(Duration::from_millis(100)).await;
    }
    bail!("nobody has sent it in {} s: does a server run on this data folder?", TEST_TIME.as_secs())
}

fn line(delivery: &DeliveryRecord) -> anyhow::Result<String> {
    let time = |ms| Ok::<_, anyhow::Error>(format!("{:.0}", Timestamp::from_millisecond(ms)?));
    let next = match delivery.state.as_str() {
        "waiting" => format!("  next {}", time(delivery.run_at)?),
        _ => String::new(),
    };
    let came_to = match (delivery.status, &delivery.error) {
        (Some(status), None) => status.to_string(),
        (Some(status), Some(error)) => format!("{status}: {error}"),
        (None, Some(error)) => error.clone(),
        (None, None) => "-".to_owned(),
    };
    Ok(format!(
        "{}  {}  {:<15}  {}  {:<9}  {} attempts  {}{next}  {came_to}",
        delivery.id,
        delivery.webhook_id,
        delivery.event,
        delivery.subject,
        delivery.state,
        delivery.attempts,
        time(delivery.occurred_at)?,
    ))
}
