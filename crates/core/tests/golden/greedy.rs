//! The tokens that Hugging Face writes by the highest logit.

use crate::fixture::Fixture;
use hooklens_core::Tensor;
use hooklens_core::models::{GenerationRequest, Model};

pub(crate) fn check(fixture: &Fixture, model: &Model) {
    if !fixture.folder.join("expected_generate.json").exists() {
        return;
    }
    let expected = fixture.json("expected_generate.json");
    let ids = |key: &str| -> Option<Vec<i64>> {
        expected.get(key)?.as_array().map(|ids| ids.iter().map(|id| id.as_i64().unwrap()).collect())
    };
    let wanted = ids("hf_greedy").expect("the fixture's greedy tokens");
    let prompt = ids("prompt").expect("the fixture's prompt");
    let input = Tensor::from_slice(&prompt, &[1, prompt.len()]).unwrap();
    for use_cache in [true, false] {
        let greedy = GenerationRequest::greedy(input.clone(), wanted.len() - prompt.len());
        let mut generation = model.generate(GenerationRequest { use_cache, ..greedy }).unwrap();
        while !generation.is_done() {
            generation.advance().unwrap();
        }
        let tokens: Vec<i64> = generation.sequences().unwrap().to_vec().unwrap();
        assert_eq!(tokens, wanted, "{}: greedy tokens, with a cache: {use_cache}", fixture.name());
    }
}
