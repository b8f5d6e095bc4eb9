package server_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What clients send by mistake or by malice is answered with a Status that says what is wrong, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	const patch, merge = "application/json-patch+json", "application/merge-patch+json"
	times := strings.Repeat
	operations := func(n int, op string) string { return "[" + times(op+",", n-1) + op + "]" }
	test := `{"op":"test","path":"/data/a","value":"b"}`
	configMap := func(rest string) string { return `{"metadata":{"name":"x"},` + rest + `}` }
	token := func(start string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"v":"meta.k8s.io/v1","rv":5,"start":"` + start + `"}`))
	}
	m := configMaps + "/m"
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"m"},"data":{"a":"b"}}`)
		before := h.get(t, configMaps).body
		for _, tc := range []struct {
			name, method, path, contentType, body string
			code                                  int
			message                               string
		}{
			{"10,001 operations", "PATCH", m, patch, operations(10_001, test), 413, "The allowed maximum operations in a JSON patch is 10000, got 10001"},
			{
				"a copy bomb", "PATCH", m, patch,
				`[{"op":"add","path":"/data/x","value":"` + times("a", 1<<20) + `"},` + operations(200, `{"op":"copy","from":"/data/x","path":"/data/y"}`)[1:],
				413, "",
			},
			{"a patch that says nothing", "PATCH", m, patch, "", 400, ""},
			{"more than 3 MiB", "POST", configMaps, "", configMap(`"data":{"a":"` + times("a", 3<<20) + `"}`), 413, "limit is 3145728"},
			{"a patch of more than 3 MiB", "PATCH", m, merge, `{"data":{"a":"` + times("a", 3<<20) + `"}}`, 413, "limit is 3145728"},
			{"a map of more than 1 MiB", "POST", configMaps, "", configMap(`"data":{"a":"` + times("a", 1<<20+1) + `"}`), 422, "1048576"},
			{
				"annotations of more than 256 KiB", "POST", configMaps, "",
				`{"metadata":{"name":"x","annotations":{"a":"` + times("a", 256<<10) + `"}}}`, 422, "may not be more than 262144 bytes",
			},
			{"lists 100,000 deep", "POST", configMaps, "", configMap(`"x":` + times("[", 100_000) + times("]", 100_000)), 400, "exceeded max depth"},
			{"objects 100,000 deep in a patch", "PATCH", m, merge, times(`{"a":`, 100_000) + "1" + times("}", 100_000), 400, "exceeded max depth"},
			{"a null byte", "POST", configMaps, "", configMap("\"data\":{\"a\":\"\x00\"}"), 400, `invalid character '\x00' in string literal`},
			{"an escaped null byte in a name", "POST", configMaps, "", `{"metadata":{"name":"a\u0000b"}}`, 422, "metadata.name"},
			{"bytes that are no UTF-8", "POST", configMaps, "", configMap("\"data\":{\"a\":\"\xff\"}"), 400, "not valid UTF-8"},
			{"two documents", "POST", configMaps, "", configMap(`"data":{}`) + "{}", 400, "after top-level value"},
			{"half a document", "POST", configMaps, "", `{"metadata":`, 400, "unexpected end of JSON input"},
			{"no body", "POST", configMaps, "", "", 400, "unexpected end of JSON input"},
			{"null", "POST", configMaps, "", "null", 422, "name or generateName is required"},
			{"a list of objects", "POST", configMaps, "", `{"kind":"ConfigMapList","apiVersion":"v1","items":[]}`, 400, "cannot be handled as a ConfigMap"},
			{"another kind", "POST", configMaps, "", `{"kind":"Secret","apiVersion":"v1","metadata":{"name":"x"}}`, 400, "cannot be handled as a ConfigMap"},
			{"another version", "POST", configMaps, "", `{"kind":"ConfigMap","apiVersion":"v2","metadata":{"name":"x"}}`, 400, "does not match the expected API version (v1)"},
			{"the name ..", "POST", configMaps, "", `{"metadata":{"name":".."}}`, 422, "metadata.name"},
			{"a name with a slash", "POST", configMaps, "", `{"metadata":{"name":"a/b"}}`, 422, "metadata.name"},
			{"a way up in the path", "GET", configMaps + "/%2e%2e/secrets", "", "", 400, "dot segment"},
			{"a token that leads to another resource", "GET", configMaps + "?limit=1&continue=" + token("/../../secrets/default/"), "", "", 400, "not a place in this collection"},
			{"a token without a beginning", "GET", configMaps + "?limit=1&continue=" + token(""), "", "", 400, "not a place in this collection"},
			{"a token that is none", "GET", configMaps + "?continue=" + url.QueryEscape("%%%"), "", "", 400, "not base64url"},
			{"a limit without a number", "GET", configMaps + "?limit=", "", "", 400, `strconv.ParseInt: parsing "": invalid syntax`},
			{"a delete whose uid is empty", "DELETE", m, "", `{"preconditions":{"uid":""}}`, 409, "the UID in the precondition () does not match"},
			{"a delete of another kind", "DELETE", m, "", `{"kind":"Pod"}`, 400, ""},
		} {
			contentType := tc.contentType
			if contentType == "" {
				contentType = "application/json; charset=utf-8"
			}
			a := h.do(t, tc.method, tc.path, strings.NewReader(tc.body), "Content-Type", contentType)
			var status metav1.Status
			if err := json.Unmarshal([]byte(a.body), &status); err != nil || status.Kind != "Status" {
				t.Errorf("%s: %d %.200s: %v", tc.name, a.StatusCode, a.body, err)
			}
			if a.StatusCode != tc.code || !strings.Contains(status.Message, tc.message) || len(status.Message) > 4<<10 {
				t.Errorf("%s: %d %.300s, want %d with %q", tc.name, a.StatusCode, status.Message, tc.code, tc.message)
			}
		}
		if after := h.get(t, configMaps).body; after != before {
			t.Errorf("something was stored: %s", after)
		}
		h.send(t, 200, "PATCH", m, operations(10_000, test), "Content-Type", patch)
	})
}
