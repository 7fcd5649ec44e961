//! Zegel puts a DKIM signature on outgoing mail, for many organisations at once.
//!
//! The house, from the ground up; a room knows only of those above it in this list
//! (`tests/architecture.rs` holds it):
//!
//! | module | what is in it |
//! |---|---|
//! | [`names`] | domains, selectors, organisations, field names: parsed once, always valid |
//! | [`words`] | closed lists of words, how bad a finding is, languages |
//! | [`shell`] | words for commands that an operator is told to run |
//! | [`files`] | many small files: which have changed, and reading them fast |
//! | [`sockets`] | sockets that are listened on |
//! | [`guard`] | a process that shows its memory to nobody |
//! | [`crypto`] | the cryptography: the only place that names its crates |
//! | [`report`] | DMARC reports, from the octets of a file to rows |
//! | [`paper`] | documents of headings, sentences and tables, as text, Markdown or HTML; pure |
//! | [`dmarc`] | DMARC records, and which of them speaks for a domain; pure |
//! | [`evidence`] | what reports prove: kept, rolled up, sorted into streams |
//! | [`ladder`] | from `p=none` to `p=reject`: what the next DMARC record is, and what stands against it |
//! | [`dkim`] | DKIM itself, pure: canonicalise, sign, verify, keys and records |
//! | [`keys`] | the keys of an organisation: what a keyring says, their states, what comes next; pure |
//! | [`organisation`] | who may send what, and what is done with mail that is not signed |
//! | [`sealing`] | how a private key lies on a disk without saying anything to a thief; pure |
//! | [`keystore`] | a folder with keyrings and private keys: read, locked, written, audited |
//! | [`config`] | `zegel.toml` and `orgs.d/`, with every problem at once |
//! | [`database`] | the PostgreSQL that several relays share, and how a folder comes to have it |
//! | [`observe`] | metrics, health, the log |
//! | [`snapshot`] | configuration, organisations and keys, immutable, swapped whole |
//! | [`dns`] | questions to the DNS; never on the way of a message |
//! | [`judgement`] | how things stand with an organisation: one value for every surface; pure |
//! | [`audit`] | the keys that signed in a period, as the audit log tells it; pure |
//! | [`handover`] | what the DNS administrators of the organisations are to do |
//! | [`doctor`] | what is dangerous in the settings of an MTA |
//! | [`import`] | the configurations of other signers, and a plan for them |
//! | [`sending`] | who sends in the name of a domain: evidence joined with keys and relays |
//! | [`letter`] | the letter to a customer: who sent in its name, and what it has to do |
//! | [`signer`] | whether a message is signed and as whom, and the signatures |
//! | [`milter`] | the milter protocol: from the socket of an MTA to its reply |
//! | [`page`] | the status page: organisations, keys, numbers, records to hand over |
//! | [`process`] | how signer and keeper begin, and why they end |
//! | [`http`] | metrics, health and the status page, served over HTTP |
//! | [`daemon`] | start, reload, drain, stop |
//! | [`keeper`] | the life of the keys: looks at the DNS, takes the next step |
//! | [`cli`] | the commands |

pub mod audit;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod database;
pub mod dkim;
pub mod dmarc;
pub mod dns;
pub mod doctor;
pub mod evidence;
pub mod files;
pub mod guard;
pub mod handover;
pub mod http;
pub mod import;
pub mod judgement;
pub mod keeper;
pub mod keys;
pub mod keystore;
pub mod ladder;
pub mod letter;
pub mod milter;
pub mod names;
pub mod observe;
pub mod organisation;
pub mod page;
pub mod paper;
pub mod process;
pub mod report;
pub mod sealing;
pub mod sending;
pub mod shell;
pub mod signer;
pub mod snapshot;
pub mod sockets;
pub mod words;
