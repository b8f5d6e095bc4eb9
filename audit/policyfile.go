package audit

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

const policyKind = "Policy"

// Bounds of a policy file.
const (
	MaxPolicyBytes = 1 << 20
	MaxPolicyRules = 2000
)

// LoadPolicy reads a policy file. Errors name the file and every field that is wrong.
func LoadPolicy(path string) (*Policy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("audit policy: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxPolicyBytes+1))
	if err != nil {
		return nil, fmt.Errorf("audit policy: %w", err)
	}
	return ParsePolicy(path, data)
}

// ParsePolicy reads a policy in YAML or JSON; name is what errors call it. Unknown and repeated fields, a second document and
// versions other than audit.k8s.io/v1 are refused.
func ParsePolicy(name string, data []byte) (*Policy, error) {
	p, err := decodePolicy(data)
	if err == nil {
		err = p.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("audit policy %s: %w", name, err)
	}
	return p, nil
}

// noPolicy is for what cannot be read as a policy at all.
func noPolicy(err error) error {
	return fmt.Errorf("this is no %s %s: %w", eventAPIVersion, policyKind, err)
}

func decodePolicy(data []byte) (*Policy, error) {
	if len(data) > MaxPolicyBytes {
		return nil, fmt.Errorf("larger than %d bytes", MaxPolicyBytes)
	}
	if err := oneMapping(data); err != nil {
		return nil, err
	}
	encoded, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return nil, noPolicy(err)
	}
	var p Policy
	strict, err := json.UnmarshalStrict(encoded, &p)
	var typeErr *stdjson.UnmarshalTypeError
	if errors.As(err, &typeErr) {
		err = fmt.Errorf("%s is a JSON %s, which is not what the field holds", typeErr.Field, typeErr.Value)
	}
	if err := errors.Join(append(strict, err)...); err != nil {
		return nil, err
	}
	return &p, nil
}

// oneMapping refuses what is no mapping, and a file with several documents, of which all but the first would be ignored.
func oneMapping(data []byte) error {
	d := yamlv3.NewDecoder(bytes.NewReader(data))
	var first, second yamlv3.Node
	if err := d.Decode(&first); err != nil {
		if errors.Is(err, io.EOF) {
			return errors.New("the file is empty")
		}
		return noPolicy(err)
	}
	if len(first.Content) == 0 || first.Content[0].Kind != yamlv3.MappingNode {
		return noPolicy(fmt.Errorf("line %d: a mapping with apiVersion, kind and rules is wanted", max(first.Line, 1)))
	}
	if err := d.Decode(&second); !errors.Is(err, io.EOF) {
		return errors.New("more than one document; a policy is a single one")
	}
	return nil
}

// Validate reports everything that is wrong with the policy at once, each with the path of the field.
func (p *Policy) Validate() error {
	var errs field.ErrorList
	if p.APIVersion != eventAPIVersion {
		errs = append(errs, field.NotSupported(field.NewPath("apiVersion"), p.APIVersion, []string{eventAPIVersion}))
	}
	if p.Kind != policyKind {
		errs = append(errs, field.NotSupported(field.NewPath("kind"), p.Kind, []string{policyKind}))
	}
	rules := field.NewPath("rules")
	if len(p.Rules) == 0 {
		errs = append(errs, field.Required(rules, "a policy without rules records nothing"))
	}
	if len(p.Rules) > MaxPolicyRules {
		errs = append(errs, field.TooMany(rules, len(p.Rules), MaxPolicyRules))
		return errs.ToAggregate()
	}
	errs = append(errs, validateStages(field.NewPath("omitStages"), p.OmitStages)...)
	for i := range p.Rules {
		errs = append(errs, p.Rules[i].validate(rules.Index(i))...)
	}
	return errs.ToAggregate()
}

func (r *Rule) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	levels := []Level{LevelNone, LevelMetadata, LevelRequest, LevelRequestResponse}
	switch {
	case r.Level == "":
		errs = append(errs, field.Required(path.Child("level"), "one of None, Metadata, Request, RequestResponse"))
	case !slices.Contains(levels, r.Level):
		errs = append(errs, field.NotSupported(path.Child("level"), r.Level, levels))
	}
	errs = append(errs, validateStages(path.Child("omitStages"), r.OmitStages)...)
	if len(r.NonResourceURLs) > 0 && len(r.Resources)+len(r.Namespaces) > 0 {
		errs = append(errs, field.Forbidden(path.Child("nonResourceURLs"), "a rule is for resources and namespaces or for other paths, not for both"))
	}
	for i, pattern := range r.NonResourceURLs {
		at := path.Child("nonResourceURLs").Index(i)
		if pattern != "*" && !strings.HasPrefix(pattern, "/") {
			errs = append(errs, field.Invalid(at, pattern, "must begin with a slash or be *"))
		}
		if star := strings.IndexByte(pattern, '*'); star >= 0 && star != len(pattern)-1 {
			errs = append(errs, field.Invalid(at, pattern, "* may stand at the end only"))
		}
	}
	for i, g := range r.Resources {
		errs = append(errs, g.validate(path.Child("resources").Index(i))...)
	}
	return errs
}

func (g GroupResources) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if g.Group != "" && g.Group != "*" {
		for _, why := range validation.IsDNS1123Subdomain(g.Group) {
			errs = append(errs, field.Invalid(path.Child("group"), g.Group, "must be a group without its version: "+why))
		}
	}
	if len(g.ResourceNames) > 0 && len(g.Resources) == 0 {
		errs = append(errs, field.Required(path.Child("resources"), "resourceNames are names of something"))
	}
	return errs
}

func validateStages(path *field.Path, stages []Stage) field.ErrorList {
	var errs field.ErrorList
	for i, s := range stages {
		if !slices.Contains(allStages(), s) {
			errs = append(errs, field.NotSupported(path.Index(i), s, allStages()))
		}
	}
	return errs
}
