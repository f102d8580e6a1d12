//! As much of JSON Schema as `docs/receipt.schema.json` is written in.

use serde_json::Value;

/// What is wrong with a value, and where.
pub(crate) fn wrong(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    let known = [
        "$ref",
        "$schema",
        "$defs",
        "title",
        "description",
        "type",
        "properties",
        "required",
        "additionalProperties",
        "items",
        "prefixItems",
        "minItems",
        "maxItems",
        "anyOf",
        "enum",
        "const",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
    ];
    for (word, rule) in schema.as_object().unwrap() {
        assert!(known.contains(&word.as_str()), "this test does not know the word {word}");
        let fits = match word.as_str() {
            "$ref" => {
                let target = root.pointer(rule.as_str().unwrap().trim_start_matches('#')).unwrap();
                if let Some(wrong) = wrong(root, target, value, at) {
                    return Some(wrong);
                }
                true
            }
            "type" => is(rule.as_str().unwrap(), value),
            "required" => {
                rule.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some())
            }
            "additionalProperties" => {
                let properties = schema["properties"].as_object().unwrap();
                value.as_object().is_none_or(|all| all.keys().all(|name| properties.contains_key(name)))
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|one| wrong(root, one, value, at).is_none()),
            "enum" => rule.as_array().unwrap().contains(value),
            "const" => rule == value,
            "pattern" => matches(rule.as_str().unwrap(), value.as_str().unwrap()),
            "minLength" => value.as_str().is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "maxLength" => value.as_str().is_none_or(|text| text.len() as u64 <= rule.as_u64().unwrap()),
            "minItems" => value.as_array().unwrap().len() as u64 >= rule.as_u64().unwrap(),
            "maxItems" => value.as_array().unwrap().len() as u64 <= rule.as_u64().unwrap(),
            "minimum" => value.as_u64().is_some_and(|n| n >= rule.as_u64().unwrap()),
            "maximum" => value.as_u64().is_some_and(|n| n <= rule.as_u64().unwrap()),
            _ => true,
        };
        if !fits {
            return Some(format!("{at}: {word} {rule} does not hold for {value}"));
        }
    }
    within(root, schema, value, at)
}

/// The same of what is in an object or a list.
fn within(root: &Value, schema: &Value, value: &Value, at: &str) -> Option<String> {
    if let (Some(properties), Some(values)) = (schema["properties"].as_object(), value.as_object()) {
        let mut found = values.iter().filter_map(|(name, value)| Some((properties.get(name)?, name, value)));
        return found.find_map(|(schema, name, value)| wrong(root, schema, value, &format!("{at}/{name}")));
    }
    let values = value.as_array()?;
    let first = schema["prefixItems"].as_array().cloned().unwrap_or_default();
    let schemas = first.iter().chain(std::iter::repeat(&schema["items"]));
    let mut found = values.iter().zip(schemas).enumerate().filter(|(_, (_, schema))| schema.is_object());
    found.find_map(|(i, (value, schema))| wrong(root, schema, value, &format!("{at}/{i}")))
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        _ => panic!("no type {kind}"),
    }
}

/// Patterns of hexadecimal digits, which are all that there are.
fn matches(pattern: &str, text: &str) -> bool {
    let digits = pattern.strip_prefix("^[0-9a-f]{").and_then(|rest| rest.strip_suffix("}$"));
    let digits: usize = digits.expect("a pattern of another kind").parse().unwrap();
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
