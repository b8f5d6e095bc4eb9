package policies

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// allowedBuiltins is everything that a policy may call. The list leaves out what reads the outside world (network, clock,
// environment, randomness), what may run long or allocate much without looking at cancellation, and what has no use in
// a policy. A builtin that a later version of OPA adds is refused until it is listed here.
func allowedBuiltins() []string {
	return []string{
		// operators and language support
		"and", "assign", "div", "eq", "equal", "gt", "gte", "internal.member_2", "internal.member_3",
		"internal.template_string", "lt", "lte", "minus", "mul", "neq", "or", "plus", "rem", "abs", "ceil", "floor", "round",
		// collections
		"array.concat", "array.flatten", "array.reverse", "array.slice", "count", "intersection", "max", "min", "object.filter",
		"object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n", "product", "sort",
		"sum", "union", "json.filter", "json.remove", "walk",
		// strings
		"concat", "contains", "endswith", "format_int", "indexof", "indexof_n", "lower", "replace", "split", "sprintf",
		"startswith", "strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.reverse", "substring",
		"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper",
		// patterns
		"glob.match", "glob.quote_meta", "regex.is_valid", "regex.match",
		// types and encodings
		"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "to_number", "type_name",
		"base64.decode", "base64.encode", "base64.is_valid", "json.is_valid", "json.marshal", "json.unmarshal",
		// numbers with units, versions, addresses
		"units.parse", "units.parse_bytes", "semver.compare", "semver.is_valid", "net.cidr_contains",
		"net.cidr_intersects", "net.cidr_is_valid",
	}
}

// capabilities is the language that policies are parsed and compiled with.
func capabilities() *ast.Capabilities {
	all := ast.CapabilitiesForThisVersion()
	allowed := allowedBuiltins()
	builtins := make([]*ast.Builtin, 0, len(allowed))
	for _, b := range all.Builtins {
		if slices.Contains(allowed, b.Name) {
			builtins = append(builtins, b)
		}
	}
	return &ast.Capabilities{
		Builtins:       builtins,
		FutureKeywords: []string{"and", "not", "or"},
		Features:       []string{ast.FeatureRegoV1, ast.FeatureKeywordsInRefs, ast.FeatureTemplateStrings},
		AllowNet:       []string{}, // not nil: nil would mean any host
	}
}
