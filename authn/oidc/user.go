package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	authncel "k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/cel/lazy"

	"github.com/gatehouse/gatehouse/api"
)

// claims are the payload of a token whose signature was verified.
type claims map[string]json.RawMessage

func (c claims) read(name string, into any) error {
	raw, ok := c[name]
	if !ok {
		return errors.New("claim not present")
	}
	return json.Unmarshal(raw, into)
}

// user makes the user of the claims, and refuses what a rule does not allow.
func (i *issuer) user(ctx context.Context, c claims) (u api.User, err error) {
	var values *lazy.MapValue
	if i.mapping.usesClaims() {
		values = claimsValue(c)
	}
	if u.Name, err = i.username(ctx, c, values); err != nil {
		return api.User{}, err
	}
	if u.Groups, err = i.groups(ctx, c, values); err != nil {
		return api.User{}, err
	}
	if u.UID, err = i.uid(ctx, c, values); err != nil {
		return api.User{}, err
	}
	if u.Extra, err = i.extra(ctx, c, values); err != nil {
		return api.User{}, err
	}
	if err := i.checkClaims(ctx, c, values); err != nil {
		return api.User{}, err
	}
	if i.mapping.userRules != nil {
		results, err := i.mapping.userRules.EvalUser(ctx, userValue(&u))
		if err == nil {
			err = checkRules(results)
		}
		if err != nil {
			return api.User{}, fmt.Errorf("user validation: %w", err)
		}
	}
	return u, ctx.Err()
}

func (i *issuer) username(ctx context.Context, c claims, values *lazy.MapValue) (string, error) {
	m := i.config.ClaimMappings.Username
	if i.mapping.username != nil {
		name, err := text(ctx, i.mapping.username, values)
		if err == nil && name == "" {
			err = errors.New("empty username via CEL expression is not allowed")
		}
		if err != nil {
			return "", fmt.Errorf("username expression: %w", err)
		}
		return name, nil
	}
	var name string
	if err := c.read(m.Claim, &name); err != nil {
		return "", fmt.Errorf("parse username claims %q: %w", m.Claim, err)
	}
	if name == "" {
		return "", fmt.Errorf("username claim %q is empty", m.Claim)
	}
	if _, has := c["email_verified"]; m.Claim == "email" && has {
		var verified bool
		if err := c.read("email_verified", &verified); err != nil {
			return "", fmt.Errorf("parse 'email_verified' claim: %w", err)
		}
		if !verified {
			return "", errors.New("email not verified")
		}
	}
	return *m.Prefix + name, nil
}

func (i *issuer) groups(ctx context.Context, c claims, values *lazy.MapValue) ([]string, error) {
	m := i.config.ClaimMappings.Groups
	if i.mapping.groups != nil {
		result, err := i.mapping.groups.EvalClaimMapping(ctx, values)
		if err != nil {
			return nil, fmt.Errorf("group expression: %w", err)
		}
		return texts(result.EvalResult)
	}
	raw, has := c[m.Claim]
	if m.Claim == "" || !has {
		return nil, nil
	}
	var groups []string
	if err := json.Unmarshal(raw, &groups); err != nil {
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, fmt.Errorf("parse groups claim %q: %w", m.Claim, err)
		}
		groups = []string{one}
	}
	for n := range groups {
		groups[n] = *m.Prefix + groups[n]
	}
	return groups, nil
}

func (i *issuer) uid(ctx context.Context, c claims, values *lazy.MapValue) (uid string, err error) {
	if claim := i.config.ClaimMappings.UID.Claim; claim != "" {
		if err := c.read(claim, &uid); err != nil {
			return "", fmt.Errorf("parse uid claim %q: %w", claim, err)
		}
		return uid, nil
	}
	if i.mapping.uid == nil {
		return "", nil
	}
	if uid, err = text(ctx, i.mapping.uid, values); err != nil {
		return "", fmt.Errorf("uid expression: %w", err)
	}
	return uid, nil
}

func (i *issuer) extra(ctx context.Context, c claims, values *lazy.MapValue) (map[string][]string, error) {
	var extra map[string][]string
	set := func(key string, value []string) {
		if extra == nil {
			extra = map[string][]string{}
		}
		extra[key] = value
	}
	var jti string
	if err := c.read("jti", &jti); err == nil && jti != "" {
		set(api.ExtraCredentialID, []string{"JTI=" + jti})
	}
	if i.mapping.extra == nil {
		return extra, nil
	}
	results, err := i.mapping.extra.EvalClaimMappings(ctx, values)
	if err != nil {
		return nil, err
	}
	for _, r := range results {
		value, err := texts(r.EvalResult)
		if err != nil {
			return nil, fmt.Errorf("extra expression '%s': %w", r.ExpressionAccessor.GetExpression(), err)
		}
		if len(value) > 0 {
			set(r.ExpressionAccessor.(*authncel.ExtraMappingExpression).Key, value)
		}
	}
	return extra, nil
}

// checkClaims holds the claims against the rules.
func (i *issuer) checkClaims(ctx context.Context, c claims, values *lazy.MapValue) error {
	for _, r := range i.config.ClaimValidationRules {
		if r.Claim == "" {
			continue
		}
		if _, has := c[r.Claim]; !has {
			return fmt.Errorf("required claim %s not present in ID token", r.Claim)
		}
		var value string
		if err := c.read(r.Claim, &value); err != nil {
			return fmt.Errorf("parse claim %s: %w", r.Claim, err)
		}
		if value != r.RequiredValue {
			return fmt.Errorf("required claim %s value does not match", r.Claim)
		}
	}
	if i.mapping.claimRules == nil {
		return nil
	}
	results, err := i.mapping.claimRules.EvalClaimMappings(ctx, values)
	if err == nil {
		err = checkRules(results)
	}
	if err != nil {
		return fmt.Errorf("claim validation: %w", err)
	}
	return nil
}

func checkRules(results []authncel.EvaluationResult) error {
	for _, r := range results {
		met, ok := r.EvalResult.Value().(bool)
		if !ok {
			return errors.New("validation expression must return a boolean")
		}
		if met {
			continue
		}
		message := ""
		switch rule := r.ExpressionAccessor.(type) {
		case *authncel.ClaimValidationCondition:
			message = rule.Message
		case *authncel.UserValidationCondition:
			message = rule.Message
		}
		return ruleError(r.ExpressionAccessor.GetExpression(), message)
	}
	return nil
}

// text evaluates an expression that must be a string.
func text(ctx context.Context, m authncel.ClaimsMapper, values *lazy.MapValue) (string, error) {
	result, err := m.EvalClaimMapping(ctx, values)
	if err != nil {
		return "", err
	}
	if result.EvalResult.Type() != celgo.StringType {
		return "", errors.New("the expression must return a string")
	}
	return result.EvalResult.Value().(string), nil
}

// texts reads a string or a list of strings; empty strings and null count as absent.
func texts(v ref.Val) ([]string, error) {
	errKind := errors.New("expression must return a string or a list of strings")
	if v.Type() == celgo.NullType {
		return nil, nil
	}
	if one, ok := v.Value().(string); ok {
		if one == "" {
			return nil, nil
		}
		return []string{one}, nil
	}
	list, ok := v.(interface {
		Get(index ref.Val) ref.Val
		Size() ref.Val
	})
	if !ok || v.Type().TypeName() != "list" {
		return nil, errKind
	}
	var all []string
	size, _ := list.Size().Value().(int64)
	for n := range size {
		one, ok := list.Get(types.Int(n)).Value().(string)
		if !ok {
			return nil, errKind
		}
		if one != "" {
			all = append(all, one)
		}
	}
	return all, nil
}
