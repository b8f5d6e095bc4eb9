package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// TestMetadataInV1beta1 asks as old clients do, who read tables and metadata in that version only: all of an answer is of it, except
// the objects that a client wants whole.
func TestMetadataInV1beta1(t *testing.T) {
	runObjects(t, func(t *testing.T, h *host) {
		h.send(t, 201, "POST", configMaps, `{"metadata":{"name":"cm"},"data":{"a":"b"}}`)
		for name, tc := range map[string]struct {
			path, as string
			versions int // how often v1beta1 is in the answer
		}{
			"a table of one":                  {configMaps + "/cm", "Table", 2},
			"a table of a list":               {configMaps, "Table", 2},
			"a table of whole objects":        {configMaps + "?includeObject=Object", "Table", 1},
			"a table with the first event":    {configMaps + "?watch=1&timeoutSeconds=1", "Table", 2},
			"metadata":                        {configMaps + "/cm", "PartialObjectMetadata", 1},
			"a list of metadata":              {configMaps, "PartialObjectMetadataList", 2},
			"metadata with the initial event": {configMaps + "?watch=1&timeoutSeconds=1", "PartialObjectMetadata", 1},
		} {
			t.Run(name, func(t *testing.T) {
				a := h.get(t, tc.path, "Accept", "application/json;g=meta.k8s.io;v=v1beta1;as="+tc.as)
				const version = `"apiVersion":"meta.k8s.io/v1beta1"`
				if a.StatusCode != http.StatusOK || !json.Valid([]byte(a.body)) || strings.Count(a.body, version) != tc.versions {
					t.Errorf("%d %s: want %s %d times", a.StatusCode, a.body, version, tc.versions)
				}
				if !strings.Contains(a.body, `"kind":"`+tc.as+`",`+version) || strings.Contains(a.body, `"meta.k8s.io/v1"`) {
					t.Errorf("not a %s of v1beta1: %s", tc.as, a.body)
				}
			})
		}
	})
}
