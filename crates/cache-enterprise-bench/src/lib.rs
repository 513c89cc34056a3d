//! Peers beside cache-enterprise in one run; reports ratios
