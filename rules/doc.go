// Package rules lets a kind say its defaults, what its fields must be and which of them never change, in one table that can
// be read side by side with the API reference.
//
// A [Set] is such a table for one Go type. Each of its entries names a field by its JSON path and lists rules. Sets nest: the rules
// of a pod template are written once and named wherever a template stands. What crosses fields is a plain Go function, attached by
// [Check] to the part of the object that it looks at.
//
//	rules.Of[appsv1.DeploymentSpec](
//		rules.At("replicas", rules.Default(1), rules.NonNegative()),
//		rules.At("selector", rules.Required(), rules.Immutable()),
//		rules.At("template", core.PodTemplate()),
//		rules.At("strategy", rules.Check(checkStrategy)),
//	)
//
// # How it works
//
// A table is compiled when it is made: paths become field indexes, and a rule that does not fit the field's type panics at once,
// in the first test that touches the table. Running it walks the object by those indexes. Typed rules get pointers into
// the object, so nothing is copied or boxed, and the path of a field is put together only for an error. The alternative, one
// hand-written function per kind that carries a path along, builds several hundred paths for a pod that has nothing wrong
// with it, and hides its bounds among loops. The cost of this way is reflection: some nanoseconds per entry.
//
// Rules run in the order of the table, since the order of causes in an answer is visible to clients.
package rules
