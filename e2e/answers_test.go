package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// question is one request that both servers get. They are asked in order, so one
// may build on those before it.
type question struct {
	name, method, path string
	as                 string // "" is the administrator; see credentials
	header             []string
	body               string
}

// credentials are the identities that a question may be asked as.
func credentials(as string) (header string, administrator bool) {
	switch as {
	case "viewer":
		return "Bearer viewer-token", false
	case "forger":
		return "Bearer no-such-token", false
	case "anonymous":
		return "", false
	}
	return "", true
}

// answerTimeout bounds one request: a watch that does not end is cut off.
const answerTimeout = 20 * time.Second

func compareAnswers(t *testing.T, o *oracle) []finding {
	var found []finding
	for _, q := range questions() {
		found = append(found, diff("answer to "+q.name, o.kube.ask(t, q), o.ours.ask(t, q))...)
	}
	return found
}

// comparedHeaders are the ones that mean something to a client.
var comparedHeaders = []string{"Content-Type", "Warning", "Retry-After", "Allow", "Www-Authenticate", "Cache-Control", "Location"}

// ask returns the status, the headers and the body of an answer.
func (s *side) ask(t *testing.T, q question) map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, q.method, s.server.URL+q.path, strings.NewReader(q.body))
	if err != nil {
		t.Fatal(err)
	}
	if q.body != "" {
		req.Header.Set("Content-Type", jsonType)
	}
	for _, header := range q.header {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	client := s.admin
	if token, administrator := credentials(q.as); !administrator {
		client = s.plain
		if token != "" {
			req.Header.Set("Authorization", token)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		return map[string]any{"error": err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	answer := map[string]any{"status": resp.StatusCode, "body": decodeBody(body)}
	if err != nil {
		answer["error"] = err.Error()
	}
	for _, name := range comparedHeaders {
		if values := resp.Header.Values(name); len(values) > 0 {
			answer[name] = strings.Join(values, " | ")
		}
	}
	return answer
}

// decodeBody decodes an object, a watch (objects one after the other) or plain
// text.
func decodeBody(body []byte) any {
	var objects []any
	decoder := json.NewDecoder(bytes.NewReader(body))
	for {
		var value any
		err := decoder.Decode(&value)
		if err == io.EOF {
			break
		}
		if err != nil {
			return normal(string(body))
		}
		if !isBookmark(value) {
			objects = append(objects, normal(value))
		}
	}
	if len(objects) == 1 {
		return objects[0]
	}
	return objects
}

// isBookmark is true for the events that a server may put into a watch whenever
// it likes; the one that ends the initial list is not of that kind.
func isBookmark(value any) bool {
	event, ok := value.(map[string]any)
	if !ok || event["type"] != "BOOKMARK" {
		return false
	}
	object, _ := event["object"].(map[string]any)
	meta, _ := object["metadata"].(map[string]any)
	return meta["annotations"] == nil
}
