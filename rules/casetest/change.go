package casetest

import "maps"

// Changed is base with a merge patch (RFC 7396) applied. Neither argument is changed; base may be nil.
func Changed(base, change map[string]any) map[string]any {
	result := maps.Clone(base)
	if result == nil {
		result = map[string]any{}
	}
	for name, v := range change {
		below, isMap := v.(map[string]any)
		switch {
		case v == nil:
			delete(result, name)
		case isMap:
			was, _ := result[name].(map[string]any)
			result[name] = Changed(was, below)
		default:
			result[name] = v
		}
	}
	return result
}
