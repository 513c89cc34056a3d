//! What a model in ONNX makes of a few keys, through the features of its schema.
//!
//! ```text
//! cargo run -p cache-enterprise-strategies --features onnx --example onnx_model -- FILE log_count,log_idle_ms
//! ```
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;

use cache_enterprise_core::{Error, Result, hours, mins};
use cache_enterprise_strategies::predict::model::{
    Access, ModelContext, OnnxModel, PredictionModel, Supplied,
};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(schema)) = (arguments.next(), arguments.next()) else {
        return Err(Error::invalid("give the file of a model and the names of its features"));
    };
    let schema: Vec<&str> = schema.split(',').collect();
    let model = OnnxModel::open(Path::new(&file))?;
    let mut ranked = Supplied::new(Arc::new(model), &schema, 1_000)?;

    // One key is asked for each minute, one was asked for often and no more, one once.
    let (anywhere, minute) = (ModelContext::default(), mins(1).as_millis() as u64);
    for at in 0..60 {
        ranked.learn(&Access::new("steady", &anywhere, at * minute).bytes(512));
        if at < 20 {
            for key in ["over", "over", "over"] {
                ranked.learn(&Access::new(key, &anywhere, at * minute).bytes(64 << 10));
            }
        }
    }
    ranked.learn(&Access::new("once", &anywhere, 0).bytes(128));
    for key in ranked.rank(&anywhere, hours(1).as_millis() as u64, 3) {
        println!("{:8} {:.4}", key.key, key.score);
    }
    Ok(())
}
