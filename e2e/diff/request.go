package diff

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// Request is one HTTP request that both servers get. Its path, headers and body may hold variables, written ${name}.
type Request struct {
	Method string
	// Path begins with a slash and includes the query.
	Path   string
	Header http.Header
	Body   []byte
	// Anonymous leaves the administrator's certificate away.
	Anonymous bool
}

// Vars are values by name. Those of the two servers differ where a value was taken from an earlier answer.
type Vars map[string]string

var variable = regexp.MustCompile(`\$\{[A-Za-z][A-Za-z0-9_]*\}`)

// Expand replaces the variables of a text. One without a value stays as it is.
func (v Vars) Expand(text string) string {
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if value, ok := v[name[2:len(name)-1]]; ok {
			return value
		}
		return name
	})
}

// With returns a copy that has one more value.
func (v Vars) With(name, value string) Vars {
	more := maps.Clone(v)
	if more == nil {
		more = Vars{}
	}
	more[name] = value
	return more
}

// Expand returns the request with its variables replaced.
func (r Request) Expand(vars Vars) Request {
	r.Path = vars.Expand(r.Path)
	header := http.Header{}
	for name, values := range r.Header {
		for _, value := range values {
			header.Add(name, vars.Expand(value))
		}
	}
	r.Header = header
	if bytes.Contains(r.Body, []byte("${")) {
		r.Body = []byte(vars.Expand(string(r.Body)))
	}
	return r
}

// shownBody bounds how much of a body a report quotes, in bytes.
const shownBody = 2000

// String is the request for a report: the line, the headers and the beginning of the body.
func (r Request) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", r.Method, shorten(r.Path, shownBody))
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(&b, "%s: %s\n", name, strings.Join(r.Header[name], ", "))
	}
	if len(r.Body) > 0 {
		fmt.Fprintf(&b, "%s\n", printable(r.Body))
	}
	return b.String()
}

func printable(body []byte) string {
	text := strings.ToValidUTF8(shorten(string(body), shownBody), "�")
	return strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' {
			return '�'
		}
		return r
	}, text)
}

func shorten(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	return fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:limit], ""), len(text))
}
