//! What is told of a model and of a provider beside prices and limits; nothing is decided by it.

use super::reader::Reader;
use super::sections::http_url;

/// What a model can be given, by OpenRouter's names.
const INPUTS: [&str; 5] = ["text", "image", "file", "audio", "video"];

/// What it can give.
const OUTPUTS: [&str; 9] = [
    "text",
    "image",
    "embeddings",
    "audio",
    "video",
    "rerank",
    "decisions",
    "speech",
    "transcription",
];

/// What is told of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelCard {
    /// What people call it.
    pub name: Option<String>,
    /// What it is, in a sentence or more.
    pub description: Option<String>,
    /// When it came out, in seconds since the Unix epoch.
    pub created: Option<u64>,
    /// Its name at Hugging Face.
    pub hugging_face_id: Option<String>,
    /// What it can be given; empty where that is not said.
    pub input_modalities: Vec<String>,
    /// What it gives; empty where that is not said.
    pub output_modalities: Vec<String>,
}

impl ModelCard {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let created = r.number("created", 0, 0..=1 << 40);
        Self {
            name: r.text("name"),
            description: r.text("description"),
            created: (created > 0).then_some(created),
            hugging_face_id: r.text("hugging_face_id"),
            input_modalities: some_of(r, "input_modalities", &INPUTS),
            output_modalities: some_of(r, "output_modalities", &OUTPUTS),
        }
    }
}

/// What is told of a provider.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProviderCard {
    /// Where its privacy policy stands.
    pub privacy_policy_url: Option<String>,
    /// Where its terms stand.
    pub terms_of_service_url: Option<String>,
    /// Where it says how it is.
    pub status_page_url: Option<String>,
    /// The country of its headquarters, in two letters (ISO 3166-1).
    pub headquarters: Option<String>,
    /// The countries of its data centres, likewise; empty where that is not said.
    pub datacenters: Vec<String>,
}

impl ProviderCard {
    pub(super) fn read(r: &mut Reader<'_>) -> Self {
        let is_country =
            |text: &String| text.len() == 2 && text.bytes().all(|b| b.is_ascii_uppercase());
        let card = Self {
            privacy_policy_url: http_url(r, "privacy_policy_url"),
            terms_of_service_url: http_url(r, "terms_of_service_url"),
            status_page_url: http_url(r, "status_page_url"),
            headquarters: r.text("headquarters"),
            datacenters: r.texts("datacenters").unwrap_or_default(),
        };
        for (key, good) in [
            ("headquarters", card.headquarters.iter().all(is_country)),
            ("datacenters", card.datacenters.iter().all(is_country)),
        ] {
            if !good {
                r.wrong(
                    key,
                    "countries are written in two capital letters, such as \"DE\"",
                );
            }
        }
        card
    }
}

fn some_of(r: &mut Reader<'_>, key: &str, known: &[&str]) -> Vec<String> {
    let names = r.texts(key).unwrap_or_default();
    if !names.iter().all(|name| known.contains(&name.as_str())) {
        r.wrong(key, format!("must be some of {}", known.join(", ")));
    }
    names
}
