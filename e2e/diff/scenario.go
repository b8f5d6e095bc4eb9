package diff

import (
	"fmt"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
	"sigs.k8s.io/yaml"
)

// A scenario is a txtar archive. Its comment says what it is about; each file in it is one step:
//
//	-- what the step shows --
//	PUT /api/v1/namespaces/${ns}/configmaps/${name}?dryRun=All
//	Accept: application/yaml
//	capture: rv metadata.resourceVersion
//
//	metadata: {name: "${name}"}
//
// The first line is the request. Lines that begin with a capital letter are headers, those that begin with a small one are
// directives:
//
//	as: anonymous            without the administrator's certificate
//	capture: NAME PATH       keep a field of the answer, of each server its own, as a variable for later steps
//	repeat: NAME COUNT TEXT  a variable that is a text many times over, for bodies that are too long to write
//	encode: protobuf         the body is YAML, send it as protobuf
//	encode: quoted           the body is a Go string literal, for bytes that are no text
//	until: 422               ask again, for ten seconds at most, until both servers answer with the code: for what takes effect later
//	eventually: equal        likewise, until the answers are alike
//	differs: D-12            accepted differences of this step, as numbered in docs/divergences.md
//
// A body without a Content-Type header is YAML and is sent as JSON; with one it is sent as it is written, without line
// feeds at its end. ${ns} is a fresh namespace and ${name} a fresh prefix for the names of objects that have no namespace.

// Scenario is steps that build on each other.
type Scenario struct {
	Name, About string
	Steps       []Step
}

// Step is one request of a scenario.
type Step struct {
	Name    string
	Request Request
	// Capture are paths into the answer, by the variable to keep the value in.
	Capture map[string]path
	// Until is the code to wait for; 0 takes the first answers.
	Until int
	// Differs are ids of accepted differences.
	Differs []string
	// Eventually waits for answers that are alike.
	Eventually bool

	repeat Vars
}

// Bounds of what a scenario may ask for.
const (
	maxRepeated = 16 << 20 // bytes of one repeated text
	maxSteps    = 1000
)

// ParseScenario decodes a scenario. It fails on anything that it does not know.
func ParseScenario(name string, data []byte) (*Scenario, error) {
	archive := txtar.Parse(data)
	s := &Scenario{Name: name, About: strings.TrimSpace(string(archive.Comment))}
	if len(archive.Files) == 0 || len(archive.Files) > maxSteps {
		return nil, fmt.Errorf("scenario %s: %d steps, want 1 to %d", name, len(archive.Files), maxSteps)
	}
	seen := map[string]bool{}
	for _, file := range archive.Files {
		if seen[file.Name] {
			return nil, fmt.Errorf("scenario %s: two steps are called %q", name, file.Name)
		}
		seen[file.Name] = true
		step, err := parseStep(file.Name, string(file.Data))
		if err != nil {
			return nil, fmt.Errorf("scenario %s, step %q: %w", name, file.Name, err)
		}
		s.Steps = append(s.Steps, *step)
	}
	return s, nil
}

func parseStep(name, text string) (*Step, error) {
	head, body, _ := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	method, target, ok := strings.Cut(lines[0], " ")
	if !ok || !strings.HasPrefix(target, "/") || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" {
		return nil, fmt.Errorf("want a method and a path in %q", lines[0])
	}
	step := &Step{Name: name, Request: Request{Method: method, Path: target, Header: http.Header{}}, Capture: map[string]path{}, repeat: Vars{}}
	encode := ""
	for _, line := range lines[1:] {
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || key == "" {
			return nil, fmt.Errorf("want a header or a directive in %q", line)
		}
		if first := key[0]; first >= 'A' && first <= 'Z' {
			step.Request.Header.Add(textproto.CanonicalMIMEHeaderKey(key), value)
			continue
		}
		if key == "encode" {
			encode = value
			continue
		}
		if err := step.directive(key, value); err != nil {
			return nil, err
		}
	}
	return step, step.setBody(strings.TrimRight(body, "\n"), encode)
}

var identifier = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

func (s *Step) directive(key, value string) error {
	words := strings.SplitN(value, " ", 3)
	switch {
	case key == "as" && value == "anonymous":
		s.Request.Anonymous = true
	case key == "capture" && len(words) == 2 && identifier.MatchString(words[0]):
		s.Capture[words[0]] = parsePath(words[1])
	case key == "repeat" && len(words) == 3 && identifier.MatchString(words[0]):
		count, err := strconv.Atoi(words[1])
		if err != nil || count < 1 || count*len(words[2]) > maxRepeated {
			return fmt.Errorf("repeat %s times: want a number, and at most %d bytes in all", words[1], maxRepeated)
		}
		s.repeat[words[0]] = strings.Repeat(words[2], count)
	case key == "until":
		code, err := strconv.Atoi(value)
		if err != nil || code < 200 || code > 599 {
			return fmt.Errorf("until: %s: want a code of an answer", value)
		}
		s.Until = code
	case key == "eventually" && value == "equal":
		s.Eventually = true
	case key == "differs":
		s.Differs = strings.Fields(value)
	default:
		return fmt.Errorf("no such directive: %s: %s", key, value)
	}
	return nil
}

// parsePath reads a path such as metadata.ownerReferences.0.uid.
func parsePath(text string) path {
	var p path
	for step := range strings.SplitSeq(text, ".") {
		if index, err := strconv.Atoi(step); err == nil {
			p = append(p, index)
			continue
		}
		p = append(p, step)
	}
	return p
}

// setBody encodes the body as the step wants it. Variables stay; repeated texts are put in by the runner.
func (s *Step) setBody(body, encode string) error {
	header := s.Request.Header
	_, raw := header["Content-Type"]
	var err error
	switch {
	case encode == "protobuf":
		// The bytes are made when the variables are known.
		header.Set("Content-Type", "application/vnd.kubernetes.protobuf")
		s.Request.Body = []byte(body)
	case encode == "quoted":
		var text string
		if text, err = strconv.Unquote(body); err != nil {
			err = fmt.Errorf("want a Go string literal: %w", err)
		}
		s.Request.Body = []byte(text)
	case encode != "":
		err = fmt.Errorf("encode: %s: want protobuf or quoted", encode)
	case raw || body == "":
		s.Request.Body = []byte(body)
	default:
		header.Set("Content-Type", "application/json")
		if s.Request.Body, err = yaml.YAMLToJSON([]byte(body)); err != nil {
			err = fmt.Errorf("want YAML: %w", err)
		}
	}
	return err
}
