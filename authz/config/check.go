package config

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	utilvalidation "k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// maxTimeout bounds a try.
const maxTimeout = 30 * time.Second

// How long answers are kept if the file does not say.
const (
	defaultAuthorizedTTL   = 5 * time.Minute
	defaultUnauthorizedTTL = 30 * time.Second
)

// check completes the document with defaults and returns what it says.
func (d *document) check(compile Compile) (list []Authorizer, errs field.ErrorList) {
	root := field.NewPath("authorizers")
	switch n := len(d.Authorizers); {
	case n == 0:
		return nil, field.ErrorList{field.Required(root, "at least one authorization mode must be defined")}
	case n > MaxAuthorizers:
		return nil, field.ErrorList{field.TooMany(root, n, MaxAuthorizers)}
	}
	types, names := map[Type]bool{}, map[string]bool{}
	for i, e := range d.Authorizers {
		path := root.Index(i)
		if err := checkType(path.Child("type"), Type(e.Type), types); err != nil {
			errs = append(errs, err)
			continue
		}
		types[Type(e.Type)] = true
		if err := checkName(path.Child("name"), e.Name, names); err != nil {
			errs = append(errs, err)
		}
		names[e.Name] = true
		a := Authorizer{Type: Type(e.Type), Name: e.Name}
		switch {
		case a.Type == Webhook && e.Webhook == nil:
			errs = append(errs, field.Required(path.Child("webhook"), "required when type=Webhook"))
		case a.Type == Webhook:
			var found field.ErrorList
			a.Webhook, found = e.Webhook.check(path, compile)
			errs = append(errs, found...)
		case e.Webhook != nil:
			errs = append(errs, field.Invalid(path.Child("webhook"), "non-null", "may only be specified when type=Webhook"))
		}
		list = append(list, a)
	}
	return list, errs
}

func checkType(path *field.Path, t Type, seen map[Type]bool) *field.Error {
	known := []Type{AlwaysAllow, AlwaysDeny, Node, RBAC, Webhook}
	switch {
	case t == "":
		return field.Required(path, "")
	case t == "ABAC":
		return field.Invalid(path, t, "its policy file changes only with a restart and cannot be reviewed by the API: use RBAC")
	case !slices.Contains(known, t):
		return field.NotSupported(path, t, known)
	case seen[t] && t != Webhook:
		return field.Duplicate(path, t)
	}
	return nil
}

func checkName(path *field.Path, name string, seen map[string]bool) *field.Error {
	switch {
	case name == "":
		return field.Required(path, "")
	case seen[name]:
		return field.Duplicate(path, name)
	}
	if wrong := utilvalidation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return field.Invalid(path, name, "authorizer name is invalid: "+strings.Join(wrong, ", "))
	}
	return nil
}

// check returns the webhook. Its fields are named as kube-apiserver names them, without the step "webhook".
func (s *service) check(path *field.Path, compile Compile) (*Service, field.ErrorList) {
	var errs field.ErrorList
	switch t := s.Timeout.Duration; {
	case t == 0:
		errs = append(errs, field.Required(path.Child("timeout"), ""))
	case t > maxTimeout || t < 0:
		errs = append(errs, field.Invalid(path.Child("timeout"), t.String(), "must be > 0s and <= 30s"))
	}
	w := &Service{Timeout: s.Timeout.Duration, Version: s.SubjectAccessReviewVersion, FailurePolicy: s.FailurePolicy}
	ttl := func(name string, given, otherwise time.Duration, on *bool) time.Duration {
		switch {
		case given < 0:
			errs = append(errs, field.Invalid(path.Child(name), given.String(), "must be > 0s"))
		case given == 0:
			given = otherwise
		}
		if on != nil && !*on {
			return 0
		}
		return given
	}
	w.AuthorizedTTL = ttl("authorizedTTL", s.AuthorizedTTL.Duration, defaultAuthorizedTTL, s.CacheAuthorizedRequests)
	w.UnauthorizedTTL = ttl("unauthorizedTTL", s.UnauthorizedTTL.Duration, defaultUnauthorizedTTL, s.CacheUnauthorizedRequests)
	oneOf := func(name, value string, supported ...string) {
		if value == "" {
			errs = append(errs, field.Required(path.Child(name), ""))
		} else if !slices.Contains(supported, value) {
			errs = append(errs, field.NotSupported(path.Child(name), value, supported))
		}
	}
	oneOf("subjectAccessReviewVersion", s.SubjectAccessReviewVersion, "v1", "v1beta1")
	switch v := s.MatchConditionSubjectAccessReviewVersion; {
	case v == "" && len(s.MatchConditions) > 0:
		errs = append(errs, field.Required(path.Child("matchConditionSubjectAccessReviewVersion"), "required if match conditions are specified"))
	case v != "":
		oneOf("matchConditionSubjectAccessReviewVersion", v, "v1")
	}
	oneOf("failurePolicy", s.FailurePolicy, "NoOpinion", "Deny")
	if err := s.ConnectionInfo.check(path.Child("connectionInfo")); err != nil {
		errs = append(errs, err)
	} else {
		w.KubeConfigFile = *s.ConnectionInfo.KubeConfigFile
	}
	for _, c := range s.MatchConditions {
		w.Conditions = append(w.Conditions, c.Expression)
	}
	return w, append(errs, compile(path.Child("matchConditions"), w.Conditions)...)
}

func (c *connection) check(path *field.Path) *field.Error {
	file := path.Child("kubeConfigFile")
	switch c.Type {
	case "":
		return field.Required(path.Child("type"), "")
	case "KubeConfigFile":
	case "InClusterConfig":
		return field.Invalid(path.Child("type"), c.Type, "the server would ask itself: use KubeConfigFile")
	default:
		return field.NotSupported(path.Child("type"), c.Type, []string{"KubeConfigFile"})
	}
	if c.KubeConfigFile == nil || *c.KubeConfigFile == "" {
		return field.Required(file, "")
	}
	if !filepath.IsAbs(*c.KubeConfigFile) {
		return field.Invalid(file, *c.KubeConfigFile, "must be an absolute path")
	}
	info, err := os.Stat(*c.KubeConfigFile)
	if err != nil {
		return field.Invalid(file, *c.KubeConfigFile, fmt.Sprintf("error loading file: %v", err))
	}
	if !info.Mode().IsRegular() {
		return field.Invalid(file, *c.KubeConfigFile, "must be a regular file")
	}
	return nil
}
