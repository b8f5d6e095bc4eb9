package diff

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Acceptance is a difference that is meant. The reason is in docs/divergences.md, in the line that has the id.
type Acceptance struct {
	// ID is like D-12.
	ID string `json:"id"`
	// Case matches "<source> <kind> <behaviour> <name>" of the cases it is for; empty matches all.
	Case string `json:"case,omitempty"`
	// Place matches the place of the finding; empty matches all.
	Place string `json:"place,omitempty"`
	// Kube and Ours match what the two servers have at the place; empty matches all.
	Kube string `json:"kube,omitempty"`
	Ours string `json:"ours,omitempty"`

	caseOf, place, kube, ours *regexp.Regexp
}

// AcceptList is all accepted differences. The nil list accepts nothing.
type AcceptList struct{ all []Acceptance }

// LoadAccepted reads a list of accepted differences. It fails when one has no line in the document that gives the reasons.
func LoadAccepted(file, reasons string) (*AcceptList, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read accepted differences: %w", err)
	}
	text, err := os.ReadFile(reasons)
	if err != nil {
		return nil, fmt.Errorf("read reasons: %w", err)
	}
	return parseAccepted(data, string(text))
}

func parseAccepted(data []byte, reasons string) (*AcceptList, error) {
	list := &AcceptList{}
	if err := yaml.UnmarshalStrict(data, &list.all); err != nil {
		return nil, fmt.Errorf("decode accepted differences: %w", err)
	}
	for i := range list.all {
		a := &list.all[i]
		if err := a.compile(); err != nil {
			return nil, err
		}
		if !strings.Contains(reasons, a.ID+" ") {
			return nil, fmt.Errorf("accepted difference %s has no line in the document of differences", a.ID)
		}
	}
	return list, nil
}

var idForm = regexp.MustCompile(`^D-[0-9]+$`)

func (a *Acceptance) compile() error {
	if !idForm.MatchString(a.ID) {
		return fmt.Errorf("accepted difference %q: an id is like D-12", a.ID)
	}
	if a.Case+a.Place+a.Kube+a.Ours == "" {
		return fmt.Errorf("accepted difference %s matches everything", a.ID)
	}
	for source, pattern := range map[*string]**regexp.Regexp{&a.Case: &a.caseOf, &a.Place: &a.place, &a.Kube: &a.kube, &a.Ours: &a.ours} {
		compiled, err := regexp.Compile(*source)
		if err != nil {
			return fmt.Errorf("accepted difference %s: %w", a.ID, err)
		}
		*pattern = compiled
	}
	return nil
}

func (a *Acceptance) covers(c Case, f Finding) bool {
	whole := strings.Join([]string{c.Source, c.Kind, c.Behaviour, c.Name}, " ")
	return a.caseOf.MatchString(whole) && a.place.MatchString(f.Place) && a.kube.MatchString(f.Kube) && a.ours.MatchString(f.Ours)
}

// split separates findings that are accepted from the others and returns the ids of the accepted ones. What a case itself
// expects to differ is accepted altogether.
func (l *AcceptList) split(c Case, findings []Finding) (left []Finding, ids []string) {
	if len(c.Differs) > 0 && len(findings) > 0 {
		return nil, c.Differs
	}
	if l == nil {
		return findings, nil
	}
	for _, f := range findings {
		i := slices.IndexFunc(l.all, func(a Acceptance) bool { return a.covers(c, f) })
		if i < 0 {
			left = append(left, f)
			continue
		}
		if !slices.Contains(ids, l.all[i].ID) {
			ids = append(ids, l.all[i].ID)
		}
	}
	return left, ids
}

// IDs returns the ids of all accepted differences.
func (l *AcceptList) IDs() []string {
	var ids []string
	if l != nil {
		for _, a := range l.all {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
