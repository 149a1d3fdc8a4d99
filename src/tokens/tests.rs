//! Counting is held to what OpenAI documents; the estimate to its stated error.

use bytes::Bytes;

use super::*;
use crate::usage::ESTIMATE_ERROR;

/// Texts of the kinds that prompts are made of, written for this test.
const SAMPLES: [(&str, &str); 18] = [
    (
        "English",
        "The committee met again on Thursday to discuss whether the bridge should be repaired or \
         replaced. Two engineers presented their findings, and although both agreed that the \
         northern pillar had moved by several centimetres, they disagreed about the cause. \
         Residents who use the bridge every morning asked how long it would stay closed.",
    ),
    (
        "English, chatty",
        "hey, can you help me write a short note to my landlord? the heating's been broken since \
         monday & nobody picks up the phone... keep it polite but make clear I'd like it fixed \
         this week, thanks!!",
    ),
    (
        "German",
        "Die Straßenbahn fährt seit gestern wieder über den Marktplatz, nachdem die Bauarbeiten \
         früher als geplant abgeschlossen wurden. Fahrgäste müssen sich allerdings noch einige \
         Wochen auf geänderte Abfahrtszeiten einstellen, weil die neuen Weichen erst nach und nach \
         in Betrieb genommen werden.",
    ),
    (
        "French",
        "Le musée rouvrira ses portes au printemps, après trois années de travaux. Les visiteurs y \
         découvriront une salle entièrement consacrée à la céramique, où l'éclairage a été conçu \
         pour révéler les détails que l'on ne remarquait guère auparavant.",
    ),
    (
        "Spanish",
        "La cosecha de este año ha sido mejor de lo que se esperaba, aunque las lluvias llegaron \
         tarde. Los agricultores de la región creen que los precios bajarán antes del invierno, y \
         algunos ya están pensando en plantar otra variedad de trigo.",
    ),
    (
        "Polish",
        "Wczoraj wieczorem w bibliotece odbyło się spotkanie z autorką książki o dawnych szlakach \
         handlowych. Słuchacze pytali przede wszystkim o to, jak wyglądało codzienne życie \
         kupców, którzy przez wiele miesięcy podróżowali z dala od domu.",
    ),
    (
        "Russian",
        "В начале недели погода резко изменилась: после долгих дождей наконец выглянуло солнце, и \
         жители города вышли гулять в парк. Продавцы мороженого говорят, что такого спроса не \
         помнят уже несколько лет.",
    ),
    (
        "Greek",
        "Το πλοίο έφτασε στο λιμάνι νωρίς το πρωί και οι επιβάτες κατέβηκαν χωρίς καθυστέρηση. \
         Πολλοί από αυτούς επισκέπτονταν το νησί για πρώτη φορά.",
    ),
    (
        "Arabic",
        "افتتحت المدينة حديقة جديدة على ضفة النهر، وحضر مئات السكان الاحتفال الذي استمر حتى المساء. \
         وقال المهندسون إن الأشجار ستحتاج إلى سنوات قبل أن تعطي ظلا كافيا.",
    ),
    (
        "Hindi",
        "कल शाम गाँव के विद्यालय में एक छोटा सा मेला लगा था, जहाँ बच्चों ने अपने बनाए हुए खिलौने दिखाए। \
         सभी को मिट्टी का हाथी सबसे अधिक पसंद आया।",
    ),
    (
        "Chinese",
        "昨天下午，市图书馆举办了一场关于古代地图的讲座。主讲人介绍了几百年前的商人怎样记录道路和河流，\
         听众提出了很多有趣的问题，活动比原定时间晚了半个小时才结束。",
    ),
    (
        "Japanese",
        "先週の日曜日、友人と一緒に山へ登りました。途中で雨が降り始めたので、小さな小屋で一時間ほど休みました。\
         雲が晴れると、遠くに海が見えてとても美しかったです。",
    ),
    (
        "Korean",
        "지난주에 시작된 도서 전시회에는 예상보다 훨씬 많은 사람들이 찾아왔다. 특히 어린이를 위한 그림책 코너가 \
         가장 인기가 많았고, 주말에는 줄이 길게 늘어섰다.",
    ),
    (
        "Thai",
        "เมื่อวานนี้ตลาดน้ำเปิดอีกครั้งหลังจากปิดซ่อมแซมมานานหลายเดือน นักท่องเที่ยวจำนวนมากมาชิมอาหารท้องถิ่นและซื้อของฝาก",
    ),
    (
        "Rust",
        "pub fn merge(mut left: Vec<Interval>, right: &[Interval]) -> Vec<Interval> {\n    \
         left.extend_from_slice(right);\n    left.sort_by_key(|interval| interval.start);\n    \
         let mut out: Vec<Interval> = Vec::with_capacity(left.len());\n    for next in left {\n        \
         match out.last_mut() {\n            Some(last) if last.end >= next.start => {\n                \
         last.end = last.end.max(next.end);\n            }\n            _ => out.push(next),\n        \
         }\n    }\n    out\n}\n",
    ),
    (
        "Python",
        "def average_by_key(rows, key):\n    totals = {}\n    for row in rows:\n        if row.get(key) \
         is None:\n            continue\n        count, total = totals.get(row[key], (0, 0.0))\n        \
         totals[row[key]] = (count + 1, total + float(row[\"amount\"]))\n    return {k: t / c for k, \
         (c, t) in totals.items()}\n",
    ),
    (
        "JSON",
        "{\"orders\": [{\"id\": 81723, \"customer\": {\"name\": \"Ada\", \"city\": \"Turin\"}, \
         \"items\": [{\"sku\": \"B-201\", \"quantity\": 3, \"price\": 19.95}], \"paid\": true}, \
         {\"id\": 81724, \"customer\": {\"name\": \"Noor\", \"city\": \"Lyon\"}, \"items\": [], \
         \"paid\": false}]}",
    ),
    (
        "Markdown",
        "## Getting started\n\n1. Install the tool: `make install`\n2. Write a file `config.yaml`:\n\n\
         ```yaml\nlisten: 127.0.0.1:8080\nworkers: 4\n```\n\n- **Fast**: starts in under a second.\n- \
         **Small**: see the [table](#sizes) below.\n\n| size | memory |\n| --- | --- |\n| small | 12 MB \
         |\n",
    ),
];

fn body(json: &str) -> Object {
    Object::parse(Bytes::copy_from_slice(json.as_bytes())).unwrap()
}

fn chat(text: &str) -> Object {
    let text = serde_json::Value::from(text);
    body(&format!(r#"{{"messages":[{{"role":"user","content":{text}}}]}}"#))
}

fn counted(json: &str, model: &str) -> Counted {
    count(&body(json), Endpoint::Chat, model)
}

#[test]
fn the_estimate_keeps_its_stated_error() {
    let mut sum = 0.0;
    for (language, text) in SAMPLES {
        let (counted, estimated) = (Encoding::O200k.count(text), estimate::tokens(text));
        let error = estimated as f64 / counted as f64 - 1.0;
        assert!(
            error.abs() < ESTIMATE_ERROR,
            "{language}: {counted} tokens estimated as {estimated}"
        );
        sum += error.abs();
    }
    assert!(sum / (SAMPLES.len() as f64) < 0.12, "on average: {}", sum / SAMPLES.len() as f64);
}

#[test]
fn plain_messages_are_counted_as_openai_bills_them() {
    // What OpenAI's replies name as `prompt_tokens`.
    for (text, model, tokens) in [
        ("hi", "gpt-4o", 8),
        ("hello", "openai/gpt-4o-mini", 8),
        ("Say this is a test", "gpt-3.5-turbo", 12),
    ] {
        let counted = count(&chat(text), Endpoint::Chat, model);
        assert_eq!(counted, Counted { tokens, exact: true }, "{text} {model}");
    }
}

#[test]
fn models_have_the_table_that_openai_says() {
    use Encoding::{Cl100k, O200k};
    for (model, encoding) in [
        ("gpt-4o", Some(O200k)),
        ("openai/gpt-4.1-mini-2025-04-14", Some(O200k)),
        ("gpt-5-nano", Some(O200k)),
        ("o3-mini", Some(O200k)),
        ("openrouter/openai/gpt-oss-120b", Some(O200k)),
        ("ft:gpt-4o:acme::a1", Some(O200k)),
        ("azure/gpt-35-turbo", Some(Cl100k)),
        ("gpt-4-turbo", Some(Cl100k)),
        ("text-embedding-3-large", Some(Cl100k)),
        ("anthropic/claude-sonnet-4-5", None),
        ("my-deployment", None),
        ("text-davinci-003", None),
    ] {
        assert_eq!(Encoding::of(model), encoding, "{model}");
    }
}

#[test]
fn other_models_are_estimated() {
    let body = chat(SAMPLES[0].1);
    let claude = count(&body, Endpoint::Chat, "claude-sonnet-4-5");
    assert_eq!((claude, claude.exact), (estimate(&body, Endpoint::Chat), false));
}

#[test]
fn encoded_media_is_never_counted_as_text() {
    let data = "iVBORw0KGgoAAAANSUhEUg".repeat(50_000);
    let image = |detail: &str| {
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"hi"}},
            {{"type":"image_url","image_url":{{"url":"data:image/png;base64,{data}"{detail}}}}}]}}]}}"#
        )
    };
    for model in ["gpt-4o", "claude"] {
        assert_eq!(counted(&image(""), model).tokens, 8 + 765, "{model}");
        assert_eq!(counted(&image(r#","detail":"low""#), model).tokens, 8 + 85, "{model}");
    }
    assert!(!counted(&image(""), "gpt-4o").exact, "an image goes by rule");

    // Ten seconds of PCM with 24 kHz and 16 bits, and a file of 3000 bytes.
    let part = |part: &str| {
        counted(&format!(r#"{{"messages":[{{"role":"user","content":[{part}]}}]}}"#), "gpt-4o")
            .tokens
    };
    let audio = "A".repeat(480_000 / 3 * 4);
    let audio =
        format!(r#"{{"type":"input_audio","input_audio":{{"data":"{audio}","format":"wav"}}}}"#);
    assert_eq!(part(&audio), 7 + 100);
    let file = "A".repeat(4_000);
    let file = format!(r#"{{"type":"file","file":{{"file_data":"{file}"}}}}"#);
    assert_eq!(part(&file), 7 + 30);
    assert_eq!(part(r#"{"type":"file","file":{"file_id":"f"}}"#), 7 + 1_000);
}

#[test]
fn tools_and_their_calls_count() {
    let plain = counted(r#"{"messages":[{"role":"user","content":"hi"}]}"#, "gpt-4o").tokens;
    let tools = counted(
        r#"{"messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{
        "name":"weather","description":"The weather of a place","parameters":{"type":"object",
        "properties":{"place":{"type":"string","description":"A town"},
        "unit":{"type":"string","enum":["c","f"]}}}}}]}"#,
        "gpt-4o",
    );
    // 12 for all, 7 for the function and 3 for each property and value; the rest is text.
    assert_eq!((tools.tokens, tools.exact), (plain + 12 + 7 + 2 * 3 + 2 * 3 + 14, false));
    let call = counted(
        r#"{"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":null,
        "tool_calls":[{"id":"x","type":"function","function":{"name":"weather",
        "arguments":"{\"place\":\"Rome\"}"}}]}]}"#,
        "gpt-4o",
    );
    assert!(call.tokens > plain + 8, "{call:?}");
}

#[test]
fn embeddings_take_texts_and_tokens() {
    for (input, tokens) in [
        (r#""hello world""#, 2),
        (r#"["hello world","hello"]"#, 3),
        ("[1,2,3,4]", 4),
        ("[[1,2],[3]]", 3),
    ] {
        let body = body(&format!(r#"{{"input":{input}}}"#));
        let counted = count(&body, Endpoint::Embeddings, "text-embedding-3-small");
        assert_eq!(counted, Counted { tokens, exact: true }, "{input}");
    }
}

#[test]
fn text_beyond_the_bound_is_taken_to_be_like_the_rest() {
    let text = "The same sentence again and again. ".repeat(40_000);
    let whole = Encoding::O200k.count(&text) + 7;
    for body in [chat(&text), {
        let part = serde_json::Value::from(text.as_str());
        body(&format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":{part}}},
            {{"type":"text","text":"and more"}}]}}]}}"#
        ))
    }] {
        let counted = count(&body, Endpoint::Chat, "gpt-4o");
        let error = counted.tokens as f64 / whole as f64 - 1.0;
        assert!(!counted.exact && error.abs() < 0.01, "{counted:?} of {whole}");
    }
}
