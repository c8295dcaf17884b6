//! The words of the house: policy, content, verdict, judge. No input or output, no tensors.
