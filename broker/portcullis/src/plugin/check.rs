//! stub until inspect lands
