// Package config reads an AuthorizationConfiguration of apiserver.config.k8s.io: the authorizers in the order in which they are asked.
//
// Reading is strict: unknown and repeated fields are errors. What kube-apiserver refuses is refused with its messages, and so are here
// ABAC, and the connection InClusterConfig, which means the server itself.
package config

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Type is a kind of authorizer.
type Type string

// Types. Only webhooks can be there more than once.
const (
	AlwaysAllow Type = "AlwaysAllow"
	AlwaysDeny  Type = "AlwaysDeny"
	Node        Type = "Node"
	RBAC        Type = "RBAC"
	Webhook     Type = "Webhook"
)

// Bounds of a configuration.
const (
	// MaxBytes bounds the file.
	MaxBytes = 1 << 20
	// MaxAuthorizers bounds the list.
	MaxAuthorizers = 64
)

// Authorizer is one entry.
type Authorizer struct {
	// Type says what decides.
	Type Type
	// Name is that of a webhook, or the type in lower case.
	Name string
	// Webhook is nil for other types.
	Webhook *Service
}

// Service is a webhook.
type Service struct {
	// KubeConfigFile is the absolute path of the file that says how to reach it.
	KubeConfigFile string
	// Timeout bounds each try; it is positive and at most 30 s.
	Timeout time.Duration
	// Version is that of the review.
	Version string
	// FailurePolicy is the decision where the webhook cannot be asked: Deny or NoOpinion.
	FailurePolicy string
	// AuthorizedTTL and UnauthorizedTTL are how long answers are kept; 0 keeps none.
	AuthorizedTTL, UnauthorizedTTL time.Duration
	// Conditions are the expressions that say which requests it is asked about; none is all.
	Conditions []string
}

// The file, in the words of the API.
type (
	document struct {
		metav1.TypeMeta `json:",inline"`
		Authorizers     []entry `json:"authorizers"`
	}
	entry struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Webhook *service `json:"webhook"`
	}
	service struct {
		AuthorizedTTL                            metav1.Duration `json:"authorizedTTL"`
		CacheAuthorizedRequests                  *bool           `json:"cacheAuthorizedRequests"`
		UnauthorizedTTL                          metav1.Duration `json:"unauthorizedTTL"`
		CacheUnauthorizedRequests                *bool           `json:"cacheUnauthorizedRequests"`
		Timeout                                  metav1.Duration `json:"timeout"`
		SubjectAccessReviewVersion               string          `json:"subjectAccessReviewVersion"`
		MatchConditionSubjectAccessReviewVersion string          `json:"matchConditionSubjectAccessReviewVersion"`
		FailurePolicy                            string          `json:"failurePolicy"`
		ConnectionInfo                           connection      `json:"connectionInfo"`
		MatchConditions                          []condition     `json:"matchConditions"`
	}
	connection struct {
		Type           string  `json:"type"`
		KubeConfigFile *string `json:"kubeConfigFile"`
	}
	condition struct {
		Expression string `json:"expression"`
	}
)

const group = "apiserver.config.k8s.io"

// Compile says what is wrong with the match conditions of a webhook. The path is that of their list.
type Compile func(path *field.Path, expressions []string) field.ErrorList

// Load reads a configuration. An error tells all that is wrong with it.
func Load(data []byte, compile Compile) ([]Authorizer, error) {
	var d document
	if len(data) > MaxBytes {
		return nil, fmt.Errorf("it is larger than %d bytes", MaxBytes)
	}
	if err := single(data); err != nil {
		return nil, fmt.Errorf("failed to load AuthorizationConfiguration from file: %w", err)
	}
	if err := yaml.UnmarshalStrict(data, &d); err != nil {
		return nil, fmt.Errorf("failed to load AuthorizationConfiguration from file: %w", err)
	}
	version, ok := strings.CutPrefix(d.APIVersion, group+"/")
	if d.Kind != "AuthorizationConfiguration" || !ok || !slices.Contains([]string{"v1", "v1beta1", "v1alpha1"}, version) {
		return nil, fmt.Errorf("failed to load AuthorizationConfiguration from file: want kind AuthorizationConfiguration of %s/v1, not %.64q of %.64q", group, d.Kind, d.APIVersion)
	}
	list, errs := d.check(compile)
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	var named []error
	for _, a := range list {
		if want := strings.ToLower(string(a.Type)); a.Type != Webhook && a.Name != want {
			named = append(named, fmt.Errorf("expected name %s for authorizer %s instead of %s", want, a.Type, a.Name))
		}
	}
	return list, utilerrors.NewAggregate(named)
}

// single refuses what follows the first document: it would be left out, and somebody may believe that it counts.
func single(data []byte) error {
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data)))
	for n := 0; ; {
		text, err := reader.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if len(bytes.TrimSpace(text)) > 0 {
			n++
		}
		if n > 1 {
			return errors.New("it holds more than one document")
		}
	}
}

// Succeeds refuses a configuration that cannot take the place of another one while the server runs: authorizers other than webhooks must
// stay.
func Succeeds(next, last []Authorizer) error {
	var missing []string
	for _, a := range last {
		if a.Type != Webhook && !slices.ContainsFunc(next, func(b Authorizer) bool { return b.Type == a.Type }) {
			missing = append(missing, string(a.Type))
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("missing required types: %v", missing)
	}
	for _, a := range next {
		started := slices.ContainsFunc(last, func(b Authorizer) bool { return b.Type == a.Type })
		if !started && (a.Type == Node || a.Type == RBAC) {
			return errors.New("authorizer type " + string(a.Type) + " is not allowed if it was not enabled at initial server startup")
		}
	}
	return nil
}
