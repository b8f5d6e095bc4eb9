package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// MaxObjectBytes bounds each recorded body, as given and as encoded. A larger one is left out and the event is
// annotated with [AnnotationTruncated].
const MaxObjectBytes = 1 << 20

var (
	errObjectTooLarge = errors.New("body too large")
	errNotJSON        = errors.New("body is not JSON")
)

// objectForLog returns the body as compact JSON that fits on a line. Objects of a kind that holds credentials are
// reduced to their identity wherever they stand in the body, also where the request was routed to another resource. Only
// called for requests that are recorded with bodies, so that decoding it here costs nobody else.
func objectForLog(body []byte, omitManagedFields bool) (json.RawMessage, error) {
	if len(body) > MaxObjectBytes {
		return nil, errObjectTooLarge
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, errNotJSON // the cause quotes the body
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNotJSON
	}
	encoded, err := json.Marshal(cleanObject(v, omitManagedFields))
	if err != nil {
		return nil, errNotJSON
	}
	if len(encoded) > MaxObjectBytes {
		return nil, errObjectTooLarge
	}
	return encoded, nil
}

// cleanObject recurses as deep as the decoder let the body be, which is bounded by encoding/json (10,000).
func cleanObject(v any, omitManagedFields bool) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = cleanObject(v[i], omitManagedFields)
		}
	case map[string]any:
		if holdsCredentials(v) {
			return identity(v)
		}
		if _, ok := v["value"]; ok && patchesLastApplied(v) {
			v["value"] = redacted
		}
		for k, member := range v {
			if k == lastApplied {
				v[k] = redacted
				continue
			}
			if metadata, ok := member.(map[string]any); ok && k == "metadata" && omitManagedFields {
				delete(metadata, "managedFields")
			}
			v[k] = cleanObject(member, omitManagedFields)
		}
	}
	return v
}

// lastApplied is where kubectl keeps a copy of the object as it was applied. The copy is JSON in a string, in which the kind can
// be spelled in many ways, so it is never recorded, whatever it is of.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// patchesLastApplied reports whether a JSON patch operation (RFC 6902) is about lastApplied. Its path is a JSON pointer (RFC
// 6901), in which a slash within a name is "~1".
func patchesLastApplied(operation map[string]any) bool {
	path, _ := operation["path"].(string)
	return strings.HasSuffix(strings.NewReplacer("~1", "/", "~0", "~").Replace(path), "/"+lastApplied)
}

func holdsCredentials(object map[string]any) bool {
	for name, value := range object {
		kind, ok := value.(string)
		if !ok || !strings.EqualFold(name, "kind") {
			continue
		}
		switch strings.ToLower(kind) {
		case "secret", "secretlist", "tokenrequest", "tokenreview":
			// A reference such as {"kind":"Secret","name":"x"} is no object, but nothing is lost by treating it as one: identity keeps it.
			return true
		}
	}
	return false
}

// identity keeps the members of an object that name it.
func identity(object map[string]any) map[string]any {
	kept := map[string]any{"redacted": true}
	keep(kept, object, "apiVersion", "kind", "name", "namespace", "apiGroup", "fieldPath", "uid")
	if metadata, ok := object["metadata"].(map[string]any); ok {
		names := map[string]any{}
		keep(names, metadata, "name", "namespace", "uid", "resourceVersion")
		kept["metadata"] = names
	}
	return kept
}

func keep(to, from map[string]any, names ...string) {
	for _, name := range names {
		if s, ok := from[name].(string); ok {
			to[name] = s
		}
	}
}
