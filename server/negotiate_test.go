package server_test

import (
	"testing"

	"github.com/gatehouse/gatehouse/server"
)

// TestChooseWithoutAParser compares the headers that are not parsed with others of the same meaning that are.
func TestChooseWithoutAParser(t *testing.T) {
	allows := map[string]func(string, map[string]string) bool{
		"plain":   server.AggregatedOrPlain,
		"nothing": func(string, map[string]string) bool { return false },
		"no JSON": func(media string, _ map[string]string) bool { return media != server.TypeJSON },
	}
	for _, accept := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf"} {
		for name, allow := range allows {
			media, params, ok := server.Choose(accept, allow)
			wantMedia, wantParams, wantOK := server.Choose(" "+accept+" ;q=1", allow)
			if media != wantMedia || ok != wantOK || len(params) != len(wantParams) {
				t.Errorf("%s, %s allowed: %q %v %t, want %q %v %t", accept, name, media, params, ok, wantMedia, wantParams, wantOK)
			}
		}
	}
}
