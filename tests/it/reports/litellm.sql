-- The tables of a LiteLLM proxy that are brought over, with their columns as its migrations make them.
CREATE TABLE "LiteLLM_BudgetTable" (
    "budget_id" TEXT PRIMARY KEY, "max_budget" DOUBLE PRECISION, "soft_budget" DOUBLE PRECISION,
    "max_parallel_requests" INTEGER, "tpm_limit" BIGINT, "rpm_limit" BIGINT, "model_max_budget" JSONB,
    "budget_duration" TEXT, "budget_reset_at" TIMESTAMP(3), "allowed_models" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "created_by" TEXT NOT NULL,
    "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updated_by" TEXT NOT NULL);
CREATE TABLE "LiteLLM_OrganizationTable" (
    "organization_id" TEXT PRIMARY KEY, "organization_alias" TEXT NOT NULL, "budget_id" TEXT NOT NULL,
    "metadata" JSONB NOT NULL DEFAULT '{}', "models" TEXT[], "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "model_spend" JSONB NOT NULL DEFAULT '{}', "object_permission_id" TEXT,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "created_by" TEXT NOT NULL,
    "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "updated_by" TEXT NOT NULL);
CREATE TABLE "LiteLLM_ModelTable" (
    "id" SERIAL PRIMARY KEY, "aliases" JSONB, "created_by" TEXT NOT NULL, "updated_by" TEXT NOT NULL);
CREATE TABLE "LiteLLM_TeamTable" (
    "team_id" TEXT PRIMARY KEY, "team_alias" TEXT, "organization_id" TEXT, "object_permission_id" TEXT,
    "admins" TEXT[], "members" TEXT[], "members_with_roles" JSONB NOT NULL DEFAULT '{}',
    "metadata" JSONB NOT NULL DEFAULT '{}', "max_budget" DOUBLE PRECISION, "soft_budget" DOUBLE PRECISION,
    "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0, "models" TEXT[], "max_parallel_requests" INTEGER,
    "tpm_limit" BIGINT, "rpm_limit" BIGINT, "budget_duration" TEXT, "budget_reset_at" TIMESTAMP(3),
    "blocked" BOOLEAN NOT NULL DEFAULT false, "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "model_spend" JSONB NOT NULL DEFAULT '{}',
    "model_max_budget" JSONB NOT NULL DEFAULT '{}', "router_settings" JSONB DEFAULT '{}',
    "team_member_permissions" TEXT[] DEFAULT ARRAY[]::TEXT[], "policies" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "budget_limits" JSONB, "model_id" INTEGER UNIQUE);
CREATE TABLE "LiteLLM_UserTable" (
    "user_id" TEXT PRIMARY KEY, "user_alias" TEXT, "team_id" TEXT, "sso_user_id" TEXT UNIQUE,
    "organization_id" TEXT, "object_permission_id" TEXT, "password" TEXT,
    "teams" TEXT[] DEFAULT ARRAY[]::TEXT[], "user_role" TEXT, "max_budget" DOUBLE PRECISION,
    "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0, "user_email" TEXT, "models" TEXT[],
    "metadata" JSONB NOT NULL DEFAULT '{}', "max_parallel_requests" INTEGER, "tpm_limit" BIGINT,
    "rpm_limit" BIGINT, "budget_duration" TEXT, "budget_reset_at" TIMESTAMP(3),
    "model_spend" JSONB NOT NULL DEFAULT '{}', "model_max_budget" JSONB NOT NULL DEFAULT '{}',
    "created_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "updated_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE "LiteLLM_VerificationToken" (
    "token" TEXT PRIMARY KEY, "key_name" TEXT, "key_alias" TEXT,
    "soft_budget_cooldown" BOOLEAN NOT NULL DEFAULT false, "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "expires" TIMESTAMP(3), "models" TEXT[], "aliases" JSONB NOT NULL DEFAULT '{}',
    "config" JSONB NOT NULL DEFAULT '{}', "router_settings" JSONB DEFAULT '{}', "user_id" TEXT, "team_id" TEXT,
    "project_id" TEXT, "permissions" JSONB NOT NULL DEFAULT '{}', "max_parallel_requests" INTEGER,
    "metadata" JSONB NOT NULL DEFAULT '{}', "blocked" BOOLEAN, "tpm_limit" BIGINT, "rpm_limit" BIGINT,
    "max_budget" DOUBLE PRECISION, "budget_duration" TEXT, "budget_reset_at" TIMESTAMP(3),
    "allowed_cache_controls" TEXT[] DEFAULT ARRAY[]::TEXT[], "allowed_routes" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "policies" TEXT[] DEFAULT ARRAY[]::TEXT[], "access_group_ids" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "model_spend" JSONB NOT NULL DEFAULT '{}', "model_max_budget" JSONB NOT NULL DEFAULT '{}', "budget_id" TEXT,
    "organization_id" TEXT, "object_permission_id" TEXT, "created_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    "created_by" TEXT, "updated_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "updated_by" TEXT,
    "auto_rotate" BOOLEAN DEFAULT false, "budget_limits" JSONB);
CREATE TABLE "LiteLLM_EndUserTable" (
    "user_id" TEXT PRIMARY KEY, "alias" TEXT, "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "allowed_model_region" TEXT, "default_model" TEXT, "budget_id" TEXT, "object_permission_id" TEXT,
    "blocked" BOOLEAN NOT NULL DEFAULT false);
CREATE TABLE "LiteLLM_TagTable" (
    "tag_name" TEXT PRIMARY KEY, "description" TEXT, "models" TEXT[], "model_info" JSONB,
    "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0, "budget_id" TEXT,
    "created_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, "created_by" TEXT,
    "updated_at" TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE "LiteLLM_TeamMembership" (
    "user_id" TEXT NOT NULL, "team_id" TEXT NOT NULL, "spend" DOUBLE PRECISION NOT NULL DEFAULT 0.0,
    "budget_id" TEXT, PRIMARY KEY ("user_id", "team_id"));
CREATE TABLE "LiteLLM_OrganizationMembership" (
    "user_id" TEXT NOT NULL, "organization_id" TEXT NOT NULL, "user_role" TEXT,
    "spend" DOUBLE PRECISION DEFAULT 0.0, "budget_id" TEXT,
    "created_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP, "updated_at" TIMESTAMP(3) DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY ("user_id", "organization_id"));
CREATE TABLE "LiteLLM_ProxyModelTable" (
    "model_id" TEXT PRIMARY KEY, "model_name" TEXT NOT NULL, "litellm_params" JSONB NOT NULL, "model_info" JSONB);

INSERT INTO "LiteLLM_BudgetTable" ("budget_id", "max_budget", "soft_budget", "budget_duration", "created_by", "updated_by")
VALUES ('b-org', 1000, 800, '30d', 'admin', 'admin'), ('b-member', 5, NULL, '7d', 'admin', 'admin');
INSERT INTO "LiteLLM_OrganizationTable"
    ("organization_id", "organization_alias", "budget_id", "models", "spend", "created_by", "updated_by")
VALUES ('org-1', 'Acme', 'b-org', '{}', 120.5, 'admin', 'admin');
INSERT INTO "LiteLLM_ModelTable" ("aliases", "created_by", "updated_by") VALUES ('{"fast": "gpt"}', 'a', 'a');
INSERT INTO "LiteLLM_TeamTable"
    ("team_id", "team_alias", "organization_id", "members_with_roles", "metadata", "max_budget", "spend", "models",
     "rpm_limit", "budget_duration", "router_settings", "model_id")
VALUES ('red', 'Red team', 'org-1', '[{"role": "admin", "user_id": "ada"}, {"role": "user", "user_id": "bob"}]',
        '{"tags": ["lab"], "team_member_budget_id": "b-member"}', 100, 20.25, '{gpt}', 600, '1mo',
        '{"num_retries": 3}', 1);
INSERT INTO "LiteLLM_TeamMembership" VALUES ('bob', 'red', 2.5, 'b-member');
INSERT INTO "LiteLLM_UserTable" ("user_id", "user_email", "user_role", "teams", "max_budget", "spend", "models", "password")
VALUES ('ada', 'ada@example.com', 'proxy_admin', '{red}', NULL, 3.5, '{}', 'scrypt:secret'),
       ('bob', 'bob@example.com', 'internal_user', '{red}', 50, 2.5, '{}', NULL),
       ('rob', 'bob@example.com', 'customer', '{}', 50, 0, '{}', NULL),
       ('litellm-proxy-budget', NULL, NULL, '{}', 5000, 150, '{}', NULL);
INSERT INTO "LiteLLM_EndUserTable" ("user_id", "alias", "spend", "blocked") VALUES ('eve', 'Eve', 0.75, true);
INSERT INTO "LiteLLM_TagTable" ("tag_name", "description", "models", "spend", "budget_id")
VALUES ('lab', 'the laboratory', '{}', 4, 'b-member');
INSERT INTO "LiteLLM_ProxyModelTable" VALUES ('m-1', 'claude', '{"model": "encrypted"}', '{}');
INSERT INTO "LiteLLM_OrganizationMembership" ("user_id", "organization_id", "user_role", "spend", "budget_id")
VALUES ('bob', 'org-1', 'org_admin', 1.5, 'b-member'), ('bob', 'org-2', 'internal_user', 0, NULL),
       ('ada', 'org-1', 'internal_user', 0, NULL);
