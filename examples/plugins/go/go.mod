module first-plugin

go 1.27.1

require go.bytecodealliance.org/pkg v0.4.0

// As it comes with wit-bindgen 0.63, without what is for asynchronous functions.
replace go.bytecodealliance.org/pkg => ./third_party/pkg
