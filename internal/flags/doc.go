// Package flags turns the command line of the server into Options.
//
// Flags that kube-apiserver has too keep its names and meanings. One that is not implemented is refused by its name, one
// that can only have a single meaning here is accepted with that value and a reason, and one that nobody knows is
// refused with the nearest that exists: no flag is ever ignored silently. All faults of a command line are reported
// together, each naming its flag.
//
// The defaults depend on the profile: Hardened is safe without any flag, Compatible has the defaults of
// kube-apiserver. The package does no input or output: whether a file can be read is found out by who reads it.
package flags
