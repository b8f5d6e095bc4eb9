package diff

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

// volatile is what differs between two servers inside of texts.
type volatile struct {
	pattern *regexp.Regexp
	by      string
}

var volatiles = []volatile{
	{regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`), "<uid>"},
	{regexp.MustCompile(`\bBad_[bcdfghjklmnpqrstvwxz2456789]{5}\b`), "<generated>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "<address>"},
	{regexp.MustCompile(`\?hash=[0-9A-F]{64,}`), "?hash=<hash>"},
	{regexp.MustCompile(`^(\d+[dhms]){1,2}$`), "<age>"},
	{regexp.MustCompile(`10\.0\.0\.\d+`), "<cluster-ip>"},
	{regexp.MustCompile(`:3\d{4}/`), ":<node-port>/"},
	{regexp.MustCompile(`\{TCP 3\d{4}\}`), "{TCP <node-port>}"},
	{regexp.MustCompile(`current: \d+`), "current: <revision>"},
	{regexp.MustCompile(`in record \(\d+\)`), "in record (<revision>)"},
	{regexp.MustCompile(`in the precondition \(\d{2,}\)`), "in the precondition (<revision>)"},
	{regexp.MustCompile(`ResourceVersion in object meta: \d+`), "ResourceVersion in object meta: <revision>"},
	{regexp.MustCompile(`ResourceVersion in precondition: \d{2,}`), "ResourceVersion in precondition: <revision>"},
	{regexp.MustCompile(`X509SHA256=[0-9a-f]{64}`), "X509SHA256=<fingerprint>"},
	{regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}(\.[A-Za-z0-9_-]+){0,2}`), "<token>"},
}

var moment = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

// presentTime is how far a time may be from now to be one that the server took from its clock. Times that are further away
// come from the request and are compared.
const presentTime = 25 * time.Hour

// Normal returns a decoded answer with what must differ between two servers replaced by placeholders. That a field is set
// is kept. The given value is not changed.
func Normal(value any) any { return normal("", value) }

func normal(key string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(value))
		for k, field := range value {
			k = normalKey(k)
			out[k] = normal(k, field)
			if unordered(k, out[k]) {
				sortElements(out[k])
			}
			if paths, ok := out[k].([]any); ok && k == "paths" {
				out[k] = named(paths)
			}
		}
		generated(out)
		return withoutKeys(out)
	case []any:
		out := make([]any, len(value))
		for i, element := range value {
			out[i] = normal(key, element)
		}
		return out
	case json.Number:
		return normalNumber(key, value)
	case string:
		return normalText(key, value)
	}
	return value
}

// normalKey is for the fields of managedFields that name an element by its uid.
func normalKey(key string) string {
	if strings.HasPrefix(key, "k:{") {
		return anyUID.ReplaceAllString(key, "<uid>")
	}
	return key
}

// generated replaces the name that a server made of a prefix that is too long to be seen in it as a whole.
func generated(meta map[string]any) {
	prefix, _ := meta["generateName"].(string)
	name, _ := meta["name"].(string)
	if prefix != "" && len(name) > generatedSuffix && strings.HasPrefix(prefix, name[:len(name)-generatedSuffix]) {
		meta["name"] = "<generated>"
	}
}

// generatedSuffix is how many characters a server appends to a prefix, or to as much of it as fits.
const generatedSuffix = 5

// withoutKeys leaves the keys out of what an issuer of tokens says about itself: each server signs with a key of its own, of
// whatever type its operator chose.
func withoutKeys(object map[string]any) map[string]any {
	for _, name := range []string{"kty", "id_token_signing_alg_values_supported"} {
		if _, ok := object[name]; ok {
			object[name] = "<key>"
		}
	}
	if object["kty"] != nil {
		for _, name := range []string{"alg", "kid", "crv", "x", "y", "n", "e"} {
			delete(object, name)
		}
	}
	return object
}

// unordered is true for lists whose order says nothing and differs from one answer of kube-apiserver to the next: the rules in
// a SelfSubjectRulesReview, and the conflicts of an apply. Entries of managedFields are in the order of their times, which
// differ by a second here and there.
func unordered(key string, list any) bool {
	if key == "causes" {
		causes, _ := list.([]any)
		return !slices.ContainsFunc(causes, func(c any) bool {
			cause, _ := c.(map[string]any)
			return cause["reason"] != "FieldManagerConflict"
		})
	}
	return key == "resourceRules" || key == "nonResourceRules" || key == "managedFields"
}

func sortElements(list any) {
	if elements, ok := list.([]any); ok {
		slices.SortFunc(elements, func(a, b any) int { return strings.Compare(sortKey(a), sortKey(b)) })
	}
}

// sortKey is who and what an entry of managedFields is about, and the whole text of anything else.
func sortKey(element any) string {
	if entry, ok := element.(map[string]any); ok && entry["manager"] != nil {
		return text([]any{entry["manager"], entry["operation"], entry["apiVersion"], entry["subresource"]})
	}
	return text(element)
}

// named is the list of paths of a server as an object, so that each path is a difference of its own.
func named(paths []any) any {
	object := make(map[string]any, len(paths))
	for _, path := range paths {
		path, ok := path.(string)
		if !ok {
			return paths
		}
		object[path] = "listed"
	}
	return object
}

// Dry runs of kube-apiserver count on beyond the range of node ports, which ends at 32767.
const firstNodePort, lastNodePort = 30000, 34000

// firstFreePort is where the ports begin that servers get when they ask for any; the Service kubernetes names the server's own.
const firstFreePort = 32768

func normalNumber(key string, value json.Number) any {
	n, err := value.Int64()
	if err == nil && key == "targetPort" && n >= firstFreePort && n <= 65535 {
		return "<port>"
	}
	if err == nil && (key == "nodePort" || key == "healthCheckNodePort") && n >= firstNodePort && n <= lastNodePort {
		return "<node-port>"
	}
	return value
}

func normalText(key, value string) any {
	switch {
	case value == "":
		return value
	case key == "uid" && !strings.Contains(value, " "):
		return "<uid>"
	case key == "resourceVersion" && isNumber(value):
		return "<revision>"
	case key == "continue":
		return "<continue>"
	case slices.Contains([]string{"clusterIP", "clusterIPs"}, key) && value != "None":
		return family(value)
	}
	for _, v := range volatiles {
		value = v.pattern.ReplaceAllString(value, v.by)
	}
	return moment.ReplaceAllStringFunc(value, func(text string) string {
		at, err := time.Parse(time.RFC3339, text)
		if err != nil || time.Since(at).Abs() > presentTime {
			return text
		}
		if strings.Contains(text, ".") {
			return "<now with fractions>"
		}
		return "<now>"
	})
}

func isNumber(text string) bool {
	return text != "0" && strings.Trim(text, "0123456789") == ""
}

func family(ip string) string {
	if strings.Contains(ip, ":") {
		return "<ipv6>"
	}
	return "<ipv4>"
}
